"""The engine `openai` against a real vLLM server with the embedded model: real HTTP, real weights, real pictures.

The server lists 20 tokens. Tolerance against transformers at float32: 1e-4 in probability; in label mass 1e-4 too, and
it may only be lower. Measured over 576 questions: 5e-6 in probability, and up to 5e-6 of the mass in spellings that are
not among the 20. The contract suite (tests/contracts) runs on the same server.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from judge.assets import constitution_path, sample_media_path
from judge.config import EngineConfig, JudgeConfig
from judge.constitution import load_constitution
from judge.engines.base import Engine
from judge.engines.build import build_engine
from judge.errors import EngineError
from judge.media import FileMedia, Permissions, load_media
from judge.pipeline import FAILURES, Judge
from judge.prompts.render import describe_prompt, precondition_prompt, reasoning_prompt
from judge.stages.prior_store import PriorStore
from judge.types import ChoiceProbabilities, Media, Message, Prompt, ScoreRow, Verdict
from tests.cli.running import judge as command
from tests.contracts.vllm_engine import needs_vllm
from tests.contracts.vllm_server import VllmServer, one_server, shared_vllm_server

pytestmark = [pytest.mark.slow, needs_vllm, one_server]
TOLERANCE = 1e-4
PICTURES = sorted(path for path in sample_media_path("demo").iterdir() if path.suffix in (".png", ".jpg"))
STATEMENTS = [each.statement for each in load_constitution(constitution_path("stickers")).preconditions]
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"rating": {"enum": ["Yes", "No"]}},
    "required": ["rating"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def server() -> VllmServer:
    return shared_vllm_server()


@pytest.fixture(scope="module")
def engine(server: VllmServer) -> Engine:
    return server.engine


@pytest.fixture(scope="module")
def plain() -> Engine:
    return build_engine(EngineConfig(device="cpu"))


@pytest.fixture(scope="module")
def media() -> list[Media]:
    return [load_media(FileMedia(path=path), Permissions(files=True)) for path in PICTURES]


def test_it_is_named_as_what_it_is(engine: Engine, plain: Engine) -> None:
    assert (engine.info.name, engine.info.domain) == (plain.info.name, plain.info.domain)
    assert engine.info.runtime == "openai/logprobs-20"
    assert engine.info.digest != plain.info.digest  # nobody has seen the server's weights


def test_answers_are_those_of_transformers(engine: Engine, plain: Engine, media: list[Media]) -> None:
    """About every demo picture, about two at once, and without any; all on their way at the same time."""
    shown = [*(each.frames for each in media), media[0].frames + media[-1].frames, ()]
    prompts = [precondition_prompt(statement, frames) for statement in STATEMENTS[::2] for frames in shown]
    found, expected = asyncio.run(engine.choose(prompts)), asyncio.run(plain.choose(prompts))
    assert [answer.prompt_tokens for answer in found] == [answer.prompt_tokens for answer in expected]
    yes = [answer.probabilities["Yes"] for answer in expected]
    assert [answer.probabilities["Yes"] for answer in found] == pytest.approx(yes, abs=TOLERANCE)
    assert max(yes) - min(yes) > 0.5  # else a blind engine would pass too
    for theirs, ours in zip(found, expected, strict=True):
        assert ours.mass - 10 * TOLERANCE < theirs.mass < ours.mass + 1e-5  # what lies beyond the top 20


def test_what_is_hardly_answered_there_is_hardly_answered_here(
    engine: Engine, plain: Engine, media: list[Media]
) -> None:
    """Where most of the mass lies on other words, of which the server shows 20, P(Yes) may differ; the mass may not."""
    statements = [each.statement for each in load_constitution(constitution_path("general")).preconditions]
    frames = media[0].frames
    prompts = [precondition_prompt(statement, frames) for statement in statements]
    prompts += [describe_prompt(frames), *(reasoning_prompt(statement, frames) for statement in statements)]
    found, expected = asyncio.run(engine.choose(prompts)), asyncio.run(plain.choose(prompts))
    assert min(answer.mass for answer in expected) < 0.5, "the embedded model answers everything: look for other words"
    assert [answer.mass for answer in found] == pytest.approx([answer.mass for answer in expected], abs=0.01)


def test_texts_are_those_of_transformers(engine: Engine, plain: Engine, media: list[Media]) -> None:
    prompts = [precondition_prompt(STATEMENTS[0], frames) for frames in (media[0].frames, ())]
    found = asyncio.run(engine.generate(prompts, max_tokens=6))
    assert found == asyncio.run(plain.generate(prompts, max_tokens=6))
    found = asyncio.run(engine.generate(prompts, max_tokens=32, json_schema=SCHEMA))
    assert found == asyncio.run(plain.generate(prompts, max_tokens=32, json_schema=SCHEMA))
    assert {json.loads(text.text)["rating"] for text in found} <= {"Yes", "No"}


def test_what_the_server_refuses_is_told(engine: Engine, media: list[Media]) -> None:
    prompt = precondition_prompt(STATEMENTS[0], media[0].frames)
    with pytest.raises(EngineError, match=r"none for this JSON schema: .* Unimplemented keys") as caught:
        asyncio.run(engine.generate([prompt], max_tokens=8, json_schema={"not": {"type": "string"}}))
    assert not caught.value.retryable
    with pytest.raises(EngineError, match=r"refused: status 400: .*maximum context length") as caught:
        asyncio.run(engine.choose([Prompt((Message("user", "a dog " * 2000),), media[0].frames)]))
    assert not caught.value.retryable


def test_judge_score_decides_as_the_default_engine_does(
    server: VllmServer, plain: Engine, media: list[Media], tmp_path: Path
) -> None:
    config = tmp_path / "judge.yaml"
    # A cache of its own: a server's name does not say which weights it has, and text-only readings are kept by name.
    cache = tmp_path / "cache"
    config.write_text(f"engine: {{openai: {{base_url: '{server.options.base_url}'}}}}\ncache_dir: {cache}\n")
    demo, options = str(sample_media_path("demo")), ["--engine", "openai", "--config", str(config), "--jsonl"]
    result = command("score", demo, *options)
    assert result.returncode == 0, result.stderr
    found = {row.media_id: row for row in map(_verdict_of, result.stdout.splitlines())}
    expected = _judge(plain, media, tmp_path)
    assert len(found) == len(expected) == 17
    assert {verdict.decision for verdict in expected} == {"unsafe", "safe", "uncertain"}
    for ours in expected:
        theirs = found[ours.media_id]
        assert theirs.decision == ours.decision
        assert [rule.outcome for rule in theirs.rules] == [rule.outcome for rule in ours.rules]
        assert theirs.score == pytest.approx(ours.score, abs=1e-3)


def _verdict_of(line: str) -> Verdict:
    verdict = ScoreRow.model_validate_json(line).verdict
    assert verdict is not None
    return verdict


# --- the end: these tests kill the server -------------------------------------------------------------------


@pytest.fixture(scope="module")
def dying(server: VllmServer) -> Iterator[VllmServer]:
    yield server
    server.kill()
    shared_vllm_server.cache_clear()


def test_when_the_server_dies_nothing_is_answered_any_more(
    engine: Engine, media: list[Media], dying: VllmServer
) -> None:
    prompts = [precondition_prompt(statement, each.frames) for each in media for statement in STATEMENTS[:4]]
    expected = asyncio.run(engine.choose(prompts))

    async def die_meanwhile() -> list[list[ChoiceProbabilities] | BaseException]:
        work = [asyncio.create_task(engine.choose([prompt])) for prompt in prompts]
        await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        dying.kill()
        return await asyncio.wait_for(asyncio.gather(*work, return_exceptions=True), 300)

    found = asyncio.run(die_meanwhile())
    answered = [(each[0], ours) for each, ours in zip(found, expected, strict=True) if isinstance(each, list)]
    failed = [each for each in found if isinstance(each, BaseException)]
    for theirs, ours in answered:
        assert theirs.probabilities["Yes"] == pytest.approx(ours.probabilities["Yes"], abs=TOLERANCE)
    assert len(answered) >= 1
    assert len(failed) >= 10
    assert {(type(error), error.retryable) for error in failed if isinstance(error, EngineError)} == {
        (EngineError, True)
    }
    assert all(isinstance(error, EngineError) for error in failed)


def test_pictures_judged_after_its_death_are_abstained(
    engine: Engine, media: list[Media], dying: VllmServer, tmp_path: Path
) -> None:
    dying.kill()
    found = _judge(engine, media, tmp_path)
    assert {(verdict.decision, verdict.flagged) for verdict in found} == {("uncertain", None)}
    assert all(FAILURES[0] in verdict.reason for verdict in found)
    assert all(evidence.readings is None for verdict in found for rule in verdict.rules for evidence in rule.evidence)


def _judge(engine: Engine, media: list[Media], folder: Path) -> list[Verdict]:
    policy = load_constitution(constitution_path("stickers"))
    return asyncio.run(Judge(engine, policy, JudgeConfig(), priors=PriorStore(folder)).judge(media))
