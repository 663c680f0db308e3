"""The figures about reasoning, with a scripted model whose rationales are right, wrong, foreign or missing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from judge.assets import constitution_path
from judge.constitution import load_constitution
from judge.engines.scripted import ScriptedEngine
from judge.metrics import Measured
from judge.stickers.evaluate_reasoning import Thought, Thoughts, reasoning_rows, think
from judge.stickers.reasoning import Claim, rationale, read_claims
from judge.stickers.splits import Item, PolicyTruth, draw_split
from judge.stickers.statements import Atom, parse
from judge.types import Generation, Prompt


@pytest.fixture(scope="module")
def items() -> list[Item]:
    truth = PolicyTruth(load_constitution(constitution_path("stickers")))
    return list(draw_split("test", 12, truth))


class _Knowing(ScriptedEngine):
    """Reasons as it was taught, from the scene itself, where it can read the statement; else in words of its own."""

    def __init__(self, items: Sequence[Item], direct: float) -> None:
        super().__init__(default=lambda prompt: self._concluded(prompt, direct))
        self._scenes = {item.image.tobytes(): item.scene for item in items}

    async def generate(
        self, prompts: Sequence[Prompt], *, max_tokens: int, temperature: float = 0.0
    ) -> list[Generation]:
        return [Generation(self._thought(prompt), "stop", 10, 5) for prompt in prompts]

    def _thought(self, prompt: Prompt) -> str:
        atom = _asked(prompt)
        scene = self._scenes[prompt.frames[0].image.tobytes()]
        assert scene is not None
        return "I cannot say." if atom is None else rationale(scene, atom)

    @staticmethod
    def _concluded(prompt: Prompt, direct: float) -> float:
        if len(prompt.messages) == 1:
            return direct
        atom, claims = _asked(prompt), read_claims(prompt.messages[1].text)
        if atom is None or claims is None:
            return 0.1
        leads_there = Claim(atom, affirmed=True) in claims if atom.kind == "sign_word" else claims[-1].affirmed
        return 0.9 if leads_there else 0.1


def _asked(prompt: Prompt) -> Atom | None:
    return parse(prompt.messages[0].text.rpartition("Statement: ")[2])


async def test_true_rationales_measure_as_true(items: list[Item]) -> None:
    thoughts = await think(_Knowing(items, direct=0.5), items, per_picture=4)
    assert len(thoughts.each) == 48
    read = [t for t in thoughts.each if t.parsed]
    assert len(read) > 36
    assert all(t.said == t.holds and all(t.claims) and all(t.named) for t in read)
    assert {t.direct for t in thoughts.each} == {0.5}
    assert thoughts.usage.completion_tokens == 5 * 48
    rows = {name: value for name, _, value in reasoning_rows(thoughts)}
    parsed = rows["rationales in the words taught"]
    assert isinstance(parsed, Measured)
    assert parsed.value == pytest.approx(len(read) / 48)
    assert rows["tokens written per question"] == 5.0


async def test_scenes_alone_are_asked_about(items: list[Item]) -> None:
    bare = [Item("photo", np.zeros((144, 144, 3), np.uint8), None, None, (), "0")]
    assert (await think(_Knowing(items, direct=0.5), bare)).each == []


def test_figures_by_hand() -> None:
    def thought(kind: str, holds: bool, direct: float, reasoned: float | None, **said: object) -> Thought:
        fields = {"parsed": False, "claims": (), "named": (), **said}
        return Thought(kind, holds, direct, reasoned, **fields)  # type: ignore[arg-type]

    each = [
        thought("exists", True, 0.9, 0.9, parsed=True, claims=(True, True), named=(True,)),
        thought("touching", True, 0.4, 0.9, parsed=True, claims=(True, False), named=(False,)),
        thought("next_to", False, 0.3, 0.8),
        thought("exists", False, 0.1, None),
    ]
    rows = [
        value.value if isinstance(value, Measured) else value
        for _, _, value in reasoning_rows(Thoughts(each, direct_s=1.0, reasoned_s=8.0))
    ]
    # Both true ones are found, both false ones are not: what was not answered counts as wrong.
    assert rows[:6] == pytest.approx([0.5, 0.75, 0.5, 0.5, 0.5, 0.5])
    assert rows[6:8] == pytest.approx([abs(0.1 * 2 / 3) + 0.8 / 3, (0.1 + 0.6 + 0.3 + 0.1) / 4])
    assert rows[8:] == pytest.approx([0.5, 0.75, 0.5, 0.0, 2.0, 0.25])


def test_without_thoughts_nothing_is_claimed() -> None:
    values = [value for _, _, value in reasoning_rows(Thoughts())]
    assert all(math.isnan(value.value) for value in values if isinstance(value, Measured))
    assert [value for value in values if not isinstance(value, Measured)] == [0.0, 0.0, 0.0]
