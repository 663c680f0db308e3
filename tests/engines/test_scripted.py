from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from judge.config import EngineConfig
from judge.engines.base import Capabilities
from judge.engines.scripted import Answer, Call, ScriptedEngine
from judge.errors import AnswerError, ConfigError, EngineError
from judge.types import ChoiceProbabilities, Frame, Generation, Message, Prompt

FRAME = Frame(0, 0.0, np.full((4, 4, 3), 200, dtype=np.uint8))


def ask(text: str, *frames: Frame) -> Prompt:
    return Prompt((Message("system", "a dog"), Message("user", text)), frames)


async def test_the_first_pattern_in_the_question_answers() -> None:
    engine = ScriptedEngine({"dog": 0.9, "a d": 0.1, "cat": Answer(0.25, mass=0.5)})
    assert await engine.choose([ask("is it a dog?", FRAME), ask("a cat", FRAME)]) == [
        ChoiceProbabilities({"Yes": 0.9, "No": pytest.approx(0.1)}, 1.0, 6),
        ChoiceProbabilities({"Yes": 0.25, "No": 0.75}, 0.5, 4),
    ]


async def test_text_only_prompts_have_their_own_table() -> None:
    engine = ScriptedEngine({"dog": 0.9}, text_only={"dog": 0.25}, default=0.5)
    found = await engine.choose([ask("dog", FRAME), ask("dog"), ask("cat")])
    assert [answer.probabilities["Yes"] for answer in found] == [0.9, 0.25, 0.5]


async def test_without_an_answer_it_fails() -> None:
    with pytest.raises(EngineError, match="no scripted answer for 'is it a cow'"):
        await ScriptedEngine({"dog": 0.9}).choose([ask("is it a cow")])


async def test_errors_and_functions_can_be_scripted() -> None:
    engine = ScriptedEngine({"boom": AnswerError("scripted"), "bright": lambda prompt: len(prompt.frames) / 4})
    with pytest.raises(AnswerError, match="scripted"):
        await engine.choose([ask("boom")])
    (answer,) = await engine.choose([ask("bright", FRAME)])
    assert answer.probabilities == {"Yes": 0.25, "No": 0.75}


async def test_more_choices_share_the_rest() -> None:
    (answer,) = await ScriptedEngine(default=0.5).choose([ask("?")], ("A", "B", "C"))
    assert answer.probabilities == {"A": 0.5, "B": 0.25, "C": 0.25}


async def test_texts_are_cut_at_the_limit() -> None:
    engine = ScriptedEngine(generations={"scene": "a dog and a cat"}, default_generation="nothing")
    prompts = [ask("the scene"), ask("else")]
    assert await engine.generate(prompts, max_tokens=2) == [
        Generation("a dog", "length", 4, 2),
        Generation("nothing", "stop", 3, 1),
    ]
    assert engine.calls == [Call("generate", tuple(prompts))]


async def test_texts_under_a_schema_are_as_scripted_unless_it_claims_to_know_none() -> None:
    schema = {"type": "object"}
    (text,) = await ScriptedEngine(default_generation="no JSON").generate(
        [ask("scene")], max_tokens=9, json_schema=schema
    )
    assert text.text == "no JSON"
    plain = ScriptedEngine(default_generation="{}", capabilities=Capabilities())
    with pytest.raises(EngineError, match="cannot be held to a JSON schema") as caught:
        await plain.generate([ask("scene")], max_tokens=9, json_schema=schema)
    assert not caught.value.retryable


async def test_it_claims_and_refuses_what_it_is_told_to() -> None:
    engine = ScriptedEngine(default=0.5, capabilities=Capabilities(text_only=False, max_frames=1))
    with pytest.raises(EngineError, match="without a frame"):
        await engine.choose([ask("dog")])
    with pytest.raises(EngineError, match="takes 1 frames in a prompt, not 2"):
        await engine.choose([ask("dog", FRAME, FRAME)])


def test_the_digest_follows_the_tables() -> None:
    def same(prompt: Prompt) -> float:
        return 0.5

    digests = {ScriptedEngine(table).info.digest for table in ({"a": 0.1}, {"a": 0.2}, {"b": 0.1}, {"a": same})}
    assert len(digests) == 4
    assert ScriptedEngine({"a": same}).info == ScriptedEngine({"a": same}).info


async def test_a_script_file(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(json.dumps({"answers": {"dog": 0.75}, "text_only": {}, "default": 0.5}))
    engine = ScriptedEngine.from_config(EngineConfig(name="scripted", model=str(script)))
    found = await engine.choose([ask("dog", FRAME), ask("dog")])
    assert [answer.probabilities["Yes"] for answer in found] == [0.75, 0.5]


@pytest.mark.parametrize("content", [None, "{", '{"answers": {"dog": 2}}', '{"unknown": 1}'])
def test_a_bad_script_file(tmp_path: Path, content: str | None) -> None:
    script = tmp_path / "script.json"
    if content is not None:
        script.write_text(content)
    with pytest.raises(ConfigError, match=r"script\.json' cannot be read"):
        ScriptedEngine.from_config(EngineConfig(name="scripted", model=str(script)))
