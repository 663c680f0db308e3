"""Rationales are true of their scene, lead to the statement's truth, and train the very turns that the engine asks."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import AutoProcessor, PreTrainedTokenizerFast

from judge.assets import model_path
from judge.engines.encoding import PromptEncoder
from judge.prompts.render import conclusion_prompt, reasoning_prompt
from judge.stickers.atlas import variants
from judge.stickers.corpus import Asker, Question
from judge.stickers.reasoning import Claim, Rationale, rationale, read_rationale, scope_rationale
from judge.stickers.sampling import draw_scene
from judge.stickers.scene import Background, Scene, Sticker
from judge.stickers.statements import Atom, Compound, Statement, Truth
from judge.stickers.streams import REASONINGS, PackedStream, Packer
from judge.types import Frame


def _scene(*stickers: tuple[str, int, int]) -> Scene:
    placed = tuple(
        Sticker(
            concept=name.partition(":")[0],
            variant=name.partition(":")[2] or variants("noto", name)[0],
            x=x,
            y=y,
            size_px=40,
        )
        for name, x, y in stickers
    )
    return Scene(style="noto", background=Background(kind="flat", seed=1), stickers=placed)


KNIFE_AT_DOG = _scene(("kitchen_knife", 10, 10), ("dog", 30, 12), ("man", 100, 100), ("sign:KILL", 5, 100))


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        (Atom("exists", "dog"), "A dog is visible. The statement is true."),
        (Atom("exists", "weapon"), "A weapon is visible: a kitchen knife. The statement is true."),
        (Atom("exists", "toy"), "A toy is not visible. The statement is not true."),
        (Atom("two", "animal"), "An animal is visible: a dog only. The statement is not true."),
        (
            Atom("touching", "weapon", "animal"),
            "A weapon is visible: a kitchen knife. An animal is visible: a dog. The kitchen knife touches a dog. "
            "The statement is true.",
        ),
        (
            Atom("touching", "weapon", "man"),
            "A weapon is visible: a kitchen knife. A man is visible. The kitchen knife touches a dog. "
            "The statement is not true.",
        ),
        (Atom("next_to", "fire", "dog"), "Fire is not visible. The statement is not true."),
        (
            Atom("next_to", "man", "person"),
            "A man is visible. A person is visible: a man. The man is next to nothing. The statement is not true.",
        ),
        (Atom("bleeding", "man"), "A drop of blood is not visible. The statement is not true."),
        (Atom("sign"), "A sign says KILL. The statement is true."),
        (Atom("sign_word", "LOVE"), "A sign says KILL. The statement is not true."),
        (Atom("sign_kind", "hateful"), "A sign says KILL. Hateful words: KILL. The statement is true."),
        (Atom("sign_kind", "neutral"), "A sign says KILL. Friendly words: none. The statement is not true."),
        (Atom("stickers"), "The picture is made of stickers. The statement is true."),
        (
            Compound("but not", Atom("exists", "dog"), Atom("exists", "toy")),
            "A dog is visible. This is true. A toy is not visible. This is not true. The statement is true.",
        ),
        (
            Compound("and", Atom("exists", "toy"), Atom("exists", "dog")),
            "A toy is not visible. This is not true. The statement is not true.",
        ),
    ],
)
def test_steps_lead_to_the_truth(statement: Statement, text: str) -> None:
    assert rationale(KNIFE_AT_DOG, statement) == text


def test_nothing_is_said_of_a_part_that_geometry_leaves_open() -> None:
    scene = _scene(("dog", 10, 10), ("cat", 10 + 40 + 18, 10))
    near = Atom("next_to", "dog", "cat")
    assert Truth(scene).of(near) == "undecided"
    assert rationale(scene, Compound("or", near, Atom("exists", "dog"))) == (
        "A dog is visible. This is true. The statement is true."
    )
    with pytest.raises(ValueError, match="undecided"):
        rationale(scene, near)


def test_every_claim_of_every_rationale_is_true_of_the_scene() -> None:
    rng = np.random.default_rng(11)
    kinds, outcomes = set(), []
    for _ in range(150):
        scene = draw_scene(rng)
        asker, truth = Asker(scene, rng), Truth(scene)
        for _ in range(6):
            statement, _, outcome = asker.statement(wished_share=1.0)
            kinds.add(statement.kind if isinstance(statement, Atom) else statement.joint)
            outcomes.append(outcome == "satisfied")
            read = read_rationale(rationale(scene, statement))
            assert read is not None
            assert read.outcome == outcome
            for claim in read.claims:
                assert truth.of(claim.atom) == ("satisfied" if claim.affirmed else "rejected"), claim
    assert len(kinds) == 13
    assert 0.4 < np.mean(outcomes) < 0.6


def test_claims_are_read_back() -> None:
    read = read_rationale(
        "An animal is visible: a dog, a dog and a cat. Fire is not visible. The dog touches a sign and a cat. "
        "Hateful words: none. The statement is not true."
    )
    said = [("exists", "animal", ""), ("two", "dog", ""), ("exists", "cat", ""), ("exists", "fire", "")]
    said += [("exists", "dog", ""), ("sign", "", ""), ("exists", "cat", ""), ("touching", "dog", "cat")]
    said.append(("sign_kind", "hateful", ""))
    denied = {("exists", "fire", ""), ("sign_kind", "hateful", "")}
    claims = tuple(Claim(Atom(*each), each not in denied) for each in said)  # type: ignore[arg-type]
    assert read == Rationale(claims, "rejected")
    assert read_rationale(scope_rationale()) == Rationale((Claim(Atom("stickers"), affirmed=False),), "rejected")


@pytest.mark.parametrize(
    "text",
    ["", "The statement is true", "A DOG is visible. The statement is true.", "A dog is visible.", "<image>",
     "A dog is visible. It is mine. The statement is true.", "The dog touches. The statement is true.",
     "A dog and a cat is visible. The statement is true.", "A sign says <image>. The statement is true."],
)  # fmt: skip
def test_other_words_are_not_read(text: str) -> None:
    assert read_rationale(text) is None


@pytest.fixture(scope="module")
def processor():  # type: ignore[no-untyped-def]
    return AutoProcessor.from_pretrained(model_path("stickers-vlm"))  # type: ignore[no-untyped-call]


def test_training_turns_are_the_prompts_of_the_engine(processor) -> None:  # type: ignore[no-untyped-def]
    tokenizer: PreTrainedTokenizerFast = processor.tokenizer
    sentences = ("A weapon touches an animal.", "There is a dog, but it is not true that a toy is visible.")
    thoughts = ("A toy is not visible. The statement is not true.", "A dog is visible. The statement is true.")
    rows = [
        Question(reasoning_prompt(s, ()).messages[0].text, "Yes", "reason", r)
        for s, r in zip(sentences, thoughts, strict=True)
    ]
    packed = Packer(tokenizer).pack([rows], "reason", pictures=True)
    encoder = PromptEncoder(processor)
    frames = (Frame(0, 0.0, np.zeros((144, 144, 3), np.uint8)),)
    prefix = packed.ids[0][packed.groups[0] == 0].tolist()
    yes = tokenizer.convert_tokens_to_ids("Yes")
    for number, (sentence, thought) in enumerate(zip(sentences, thoughts, strict=True), start=1):
        inside = packed.groups[0] == number
        ids, targets = prefix + packed.ids[0][inside].tolist(), packed.targets[0][inside].tolist()
        first = encoder.encode(reasoning_prompt(sentence, frames))["input_ids"][0].tolist()
        second = encoder.encode(conclusion_prompt(sentence, thought, frames))["input_ids"][0].tolist()
        said = tokenizer(thought + "<end_of_utterance>", add_special_tokens=False)["input_ids"]
        assert ids == second
        assert ids[: len(first)] == first
        assert packed.positions[0][inside].tolist() == list(range(len(prefix), len(second)))
        learned = [-100] * (len(first) - 1) + said + [-100] * (len(second) - len(first) - len(said)) + [yes]
        assert targets == learned[len(prefix) :]


def test_reasoning_batches_carry_pictures_and_balanced_answers(processor, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("judge.stickers.streams._TASKS", (("reason", 1.0),))
    stream = iter(PackedStream(5, 24, 16, processor.tokenizer))
    yes, no = (processor.tokenizer.convert_tokens_to_ids(word) for word in ("Yes", "No"))
    last: list[int] = []
    for _ in range(4):
        packed, dense = next(stream)
        assert dense is not None
        assert packed.groups.max() == REASONINGS
        for row, groups in zip(packed.targets, packed.groups, strict=True):
            last += [int(row[groups == number][-1]) for number in range(1, int(groups.max()) + 1)]
    assert set(last) == {yes, no}
    assert 0.35 < np.mean([token == yes for token in last]) < 0.6
    assert packed.ids.shape[1] < 420
