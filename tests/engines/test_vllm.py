"""The vLLM engine with the embedded model, on the CPU: real vLLM, real weights, real pictures.

Tolerance between vLLM and transformers at float32: 1e-4 in probability and in label mass (measured: 2e-6).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from judge.config import EngineConfig
from judge.engines.base import Engine
from judge.engines.build import build_engine
from judge.engines.transformers import TransformersEngine
from judge.engines.vllm import VllmEngine
from judge.errors import ConfigError, EngineError
from judge.types import ChoiceProbabilities, Frame, Message, Prompt
from tests.contracts.vllm_engine import needs_vllm, one_vllm, shared_vllm_engine, start_vllm_engine

pytestmark = [pytest.mark.slow, needs_vllm, one_vllm]
ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted((ROOT / "judge/stickers/samples/demo").glob("*.png"))
TOLERANCE = 1e-4
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"rating": {"enum": ["Yes", "No"]}},
    "required": ["rating"],
    "additionalProperties": False,
}
QUESTIONS = (
    "Statement: there is a knife. Is it true of the picture? Answer Yes or No.",
    "Statement: a person touches a bottle. Is it true of the picture? Answer Yes or No.",
    "The picture is made of stickers. Yes or No?",
)


@pytest.fixture
def engine() -> VllmEngine:
    return shared_vllm_engine()


@pytest.fixture(scope="module")
def plain() -> TransformersEngine:
    found = build_engine(EngineConfig(device="cpu"))
    assert isinstance(found, TransformersEngine)
    return found


def frame(path: Path) -> Frame:
    return Frame(0, 0.0, np.asarray(Image.open(path).convert("RGB")))


def ask(question: str, *frames: Frame) -> Prompt:
    return Prompt((Message("user", question),), frames)


def sample_prompts() -> list[Prompt]:
    frames = [frame(path) for path in SAMPLES]
    return [ask(question, picture) for picture in frames for question in QUESTIONS]


def assert_close(found: list[ChoiceProbabilities], expected: list[ChoiceProbabilities]) -> None:
    assert [answer.prompt_tokens for answer in found] == [answer.prompt_tokens for answer in expected]
    assert [answer.mass for answer in found] == pytest.approx([answer.mass for answer in expected], abs=TOLERANCE)
    assert [answer.probabilities["Yes"] for answer in found] == pytest.approx(
        [answer.probabilities["Yes"] for answer in expected], abs=TOLERANCE
    )


def core_process(engine: VllmEngine) -> int:
    """Process id of vLLM's own process."""
    llm: Any = engine._llm
    (process,) = llm.engine_core.resources.engine_manager.processes
    return int(process.pid)


# --- the same model as through transformers -----------------------------------------------------------------


def test_it_is_the_same_model_on_another_runtime(engine: VllmEngine, plain: TransformersEngine) -> None:
    assert (engine.info.name, engine.info.digest, engine.info.domain) == (
        plain.info.name,
        plain.info.digest,
        plain.info.domain,
    )
    assert engine.info.runtime == "vllm/float32/cpu"
    assert engine.capabilities == plain.capabilities


def test_sample_pictures_get_the_answers_of_transformers(engine: VllmEngine, plain: TransformersEngine) -> None:
    prompts = sample_prompts()
    found, expected = asyncio.run(engine.choose(prompts)), asyncio.run(plain.choose(prompts))
    assert_close(found, expected)
    answers = [answer.probabilities["Yes"] for answer in expected]
    assert max(answers) - min(answers) > 100 * TOLERANCE  # else a blind engine would pass too


def test_priors_are_those_of_transformers(engine: VllmEngine, plain: TransformersEngine) -> None:
    prompts = [ask(question) for question in QUESTIONS]
    assert_close(asyncio.run(engine.choose(prompts)), asyncio.run(plain.choose(prompts)))


def test_several_frames_and_whole_conversations(engine: VllmEngine, plain: TransformersEngine) -> None:
    first, second = frame(SAMPLES[0]), frame(SAMPLES[-1])
    talk = (Message("user", "What is it?"), Message("assistant", "Stickers."), Message("user", QUESTIONS[0]))
    prompts = [ask(QUESTIONS[0], first, second), ask(QUESTIONS[0], second, first), Prompt(talk, (first,))]
    assert_close(asyncio.run(engine.choose(prompts)), asyncio.run(plain.choose(prompts)))


def test_other_choices_than_yes_and_no(engine: VllmEngine, plain: TransformersEngine) -> None:
    prompts, choices = [ask("Cat or knife?", frame(SAMPLES[0]))], ("cat", "knife", "bottle")
    (found,), (expected,) = asyncio.run(engine.choose(prompts, choices)), asyncio.run(plain.choose(prompts, choices))
    assert list(found.probabilities) == list(choices)
    assert found.probabilities == pytest.approx(expected.probabilities, abs=TOLERANCE)
    assert found.mass == pytest.approx(expected.mass, abs=TOLERANCE)


def test_greedy_text_is_that_of_transformers(engine: VllmEngine, plain: TransformersEngine) -> None:
    prompts = [ask(QUESTIONS[0], frame(path)) for path in SAMPLES[:3]] + [ask(QUESTIONS[1])]
    found = asyncio.run(engine.generate(prompts, max_tokens=6))
    assert found == asyncio.run(plain.generate(prompts, max_tokens=6))
    assert {text.finish_reason for text in found} <= {"stop", "length"}


# --- batches ------------------------------------------------------------------------------------------------


def test_order_is_kept_in_a_shuffled_batch_of_many_pictures(engine: VllmEngine) -> None:
    prompts = sample_prompts()
    expected = [asyncio.run(engine.choose([prompt]))[0] for prompt in prompts]
    order = list(range(len(prompts)))
    random.Random(3).shuffle(order)
    found = asyncio.run(engine.choose([prompts[i] for i in order]))
    assert_close(found, [expected[i] for i in order])


def test_concurrent_calls_about_the_same_and_about_other_pictures(engine: VllmEngine) -> None:
    prompts = [*sample_prompts(), *sample_prompts()[:6]]
    expected = [asyncio.run(engine.choose([prompt]))[0] for prompt in prompts]

    async def all_at_once() -> list[list[ChoiceProbabilities]]:
        return await asyncio.gather(*(engine.choose([prompt]) for prompt in prompts))

    assert_close([answers[0] for answers in asyncio.run(all_at_once())], expected)


def test_the_questions_of_a_picture_share_its_prefix(engine: VllmEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels go to vLLM's process once, and from the second question on the first block of tokens is not computed."""
    llm: Any = engine._llm
    generate = llm.generate
    cached: list[int] = []
    pixels_sent: list[bool] = []

    async def spy(prompt: Any, *args: object) -> Any:
        pixels_sent.append(any(item is not None for item in prompt["mm_kwargs"]["image"]))
        async for output in generate(prompt, *args):
            cached.append(output.num_cached_tokens)
            yield output

    monkeypatch.setattr(llm, "generate", spy)
    noise = np.random.default_rng(77).integers(0, 256, (120, 120, 3), dtype=np.uint8)
    things = ("cat", "dog", "knife", "bottle", "house")
    prompts = [
        Prompt(
            (Message("user", f"Look well at all of this picture before you answer me. A {thing}?"),),
            (Frame(0, 0.0, noise),) * 2,
        )
        for thing in things
    ]
    asyncio.run(engine.choose(prompts))
    assert pixels_sent == [True, False, False, False, False]
    assert cached[0] == 0
    assert min(cached[1:]) >= 32


def test_pictures_that_vllm_has_forgotten_are_sent_again(engine: VllmEngine) -> None:
    """Its process loses its cache while ours believes that the pixels are there: the "expected a cached item" case."""
    llm: Any = engine._llm
    prompts = sample_prompts()[:6]
    expected = asyncio.run(engine.choose(prompts))

    async def lose_the_other_side() -> None:
        await llm.engine_core.reset_prefix_cache_async(False, False)
        await llm.engine_core.reset_mm_cache_async()
        await llm.engine_core.reset_encoder_cache_async()

    asyncio.run(engine._thread.call(lose_the_other_side()))
    assert_close(asyncio.run(engine.choose(prompts)), expected)


def test_the_test_at_the_start_finds_pictures_that_are_taken_for_each_other(
    engine: VllmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(engine._call(engine._requests.test(1e-3)))
    monkeypatch.setattr(engine._requests, "_uuid", lambda _key: "one name for all pictures")
    with pytest.raises(EngineError, match="two pictures asked about at once get other answers than alone"):
        asyncio.run(engine._call(engine._requests.test(1e-3)))


def test_the_name_of_a_picture_follows_from_its_pixels_and_the_model(
    engine: VllmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = engine._requests
    prompts = [ask(QUESTIONS[0], frame(path)) for path in (SAMPLES[0], SAMPLES[0], SAMPLES[1])]
    keys = [requests._group([prompt])[0].keys[0] for prompt in prompts]
    names = [requests._uuid(key) for key in keys]
    assert names[0] == names[1] != names[2]
    monkeypatch.setattr(requests, "_namespace", "another model")
    assert requests._uuid(keys[0]) not in names


# --- writing ------------------------------------------------------------------------------------------------


def test_sampling_is_reproducible_and_copies_of_a_prompt_are_different_samples(engine: VllmEngine) -> None:
    prompts = [ask(QUESTIONS[0], frame(SAMPLES[0]))] * 4
    first = asyncio.run(engine.generate(prompts, max_tokens=8, temperature=1.5))
    assert asyncio.run(engine.generate(prompts, max_tokens=8, temperature=1.5)) == first
    assert len({text.text for text in first}) > 1


def test_writing_stops_at_the_limit(engine: VllmEngine) -> None:
    (text,) = asyncio.run(engine.generate([ask("Describe the picture.", frame(SAMPLES[0]))], max_tokens=1))
    assert text.completion_tokens == 1


def test_greedy_json_is_that_of_transformers(engine: VllmEngine, plain: TransformersEngine) -> None:
    prompts = [ask(QUESTIONS[0], frame(path)) for path in SAMPLES[:3]] + [ask(QUESTIONS[1])]
    found = asyncio.run(engine.generate(prompts, max_tokens=32, json_schema=SCHEMA))
    assert found == asyncio.run(plain.generate(prompts, max_tokens=32, json_schema=SCHEMA))
    assert {json.loads(text.text)["rating"] for text in found} <= {"Yes", "No"}


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"not": {"type": "string"}}], ids=["wrong", "unenforceable"])
def test_a_schema_that_cannot_be_enforced_is_refused(engine: VllmEngine, schema: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match="cannot write under this JSON schema") as caught:
        asyncio.run(engine.generate([ask(QUESTIONS[0], frame(SAMPLES[0]))], max_tokens=4, json_schema=schema))
    assert not caught.value.retryable
    assert len(asyncio.run(engine.choose([ask(QUESTIONS[0])]))) == 1


def test_where_schemas_do_not_work_the_engine_does_not_claim_them(
    engine: VllmEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert engine.capabilities.structured
    assert engine._test_schemas()
    make = engine._requests._sampling
    monkeypatch.setattr(engine._requests, "_sampling", lambda json_schema=None, **settings: make(**settings))
    assert not engine._test_schemas()
    assert "does not write under JSON schemas: model 'stickers-vlm': vLLM does not keep to a JSON schema" in caplog.text


# --- what is refused ----------------------------------------------------------------------------------------


def test_a_prompt_beyond_the_model_is_refused(engine: VllmEngine) -> None:
    for frames in [(), (frame(SAMPLES[0]),)]:
        with pytest.raises(EngineError, match=r"a prompt of \d+ tokens; model 'stickers-vlm' takes \d+"):
            asyncio.run(engine.choose([ask("a dog " * 2000, *frames)]))
        with pytest.raises(EngineError, match=r"a prompt of \d+ tokens"):
            asyncio.run(engine.generate([ask("a dog", *frames)], max_tokens=5000))


@pytest.mark.parametrize("frames", [0, 1])
def test_an_image_placeholder_in_the_words_is_refused(engine: VllmEngine, frames: int) -> None:
    pictures = (frame(SAMPLES[0]),) * frames
    with pytest.raises(EngineError, match="placeholder"):
        asyncio.run(engine.choose([ask("Is there a dog?", *pictures), ask("Is there an <image>?", *pictures)]))


def test_a_frame_of_another_form_is_refused(engine: VllmEngine) -> None:
    gray: Any = np.zeros((4, 4), dtype=np.uint8)
    with pytest.raises(EngineError, match="not uint8"):
        asyncio.run(engine.choose([ask("Is there a dog?", Frame(3, 0.0, gray))]))


def test_the_cpu_cannot_sleep_and_says_so(engine: VllmEngine) -> None:
    with pytest.raises(ConfigError, match="vLLM cannot sleep on 'cpu'"):
        asyncio.run(engine.sleep())
    with pytest.raises(ConfigError, match="vLLM cannot sleep on 'cpu'"):
        asyncio.run(engine.wake())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"vllm": {"options": {"max_num_seq": 8}}}, r"vLLM has no option 'max_num_seq' \(did you mean 'max_num_seqs'"),
        ({"vllm": {"options": {"logprobs_mode": "processed_logprobs"}}}, "vLLM's option 'logprobs_mode' is not free"),
        ({"vllm": {"options": {"block_size": "many"}}}, "cannot be loaded by vLLM: .*block_size"),
        ({"device": "cuda"}, "device 'cuda': the installed vLLM runs on 'cpu'"),
        ({"dtype": "float7"}, "dtype 'float7' is not known"),
        ({"model": "/no/such/folder"}, "no such folder, and not a Hugging Face id either"),
    ],
)
def test_impossible_settings(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_engine(EngineConfig.model_validate({"name": "vllm", **config}))


def test_a_model_that_returns_nan_does_not_start(model_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "nan"
    folder.mkdir()
    for path in model_folder("idefics3").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    weights = load_file(folder / "model.safetensors")
    weights["lm_head.weight"].fill_(torch.nan)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EngineError, match="no usable probabilities"):
        start_vllm_engine(EngineConfig(name="vllm", model=str(folder)))


def test_it_keeps_to_the_engine_protocol(engine: VllmEngine) -> None:
    typed: Engine = engine
    assert asyncio.run(typed.choose([])) == []


# --- the end ------------------------------------------------------------------------------------------------


def test_a_script_that_forgets_to_close_ends_cleanly_and_writes_only_its_own_words(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "from judge.config import EngineConfig\n"
        "from judge.engines.build import build_engine\n"
        'if __name__ == "__main__":\n'
        '    print(build_engine(EngineConfig(name="vllm")).info.name)\n'
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "stickers-vlm\n")
    assert "Traceback" not in done.stderr


# These come last: they end the engine that other tests share.


@pytest.fixture(scope="module")
def dying() -> Iterator[VllmEngine]:
    engine = shared_vllm_engine()
    yield engine
    asyncio.run(engine.close())
    shared_vllm_engine.cache_clear()


def test_when_vllms_process_dies_nothing_is_answered_any_more(dying: VllmEngine) -> None:
    prompts = sample_prompts()
    assert len(asyncio.run(dying.choose(prompts[:2]))) == 2

    async def die_meanwhile() -> None:
        process = core_process(dying)
        os.kill(process, signal.SIGSTOP)  # else it may have answered them all
        work = asyncio.gather(*(dying.choose([prompt]) for prompt in prompts), return_exceptions=True)
        await asyncio.sleep(0.02)
        os.kill(process, signal.SIGKILL)
        found = await asyncio.wait_for(work, 300)
        assert {(type(error), getattr(error, "retryable", None)) for error in found} == {(EngineError, True)}

    asyncio.run(die_meanwhile())
    with pytest.raises(EngineError, match="its vLLM process has died"):
        asyncio.run(dying.choose(prompts[:1]))
    with pytest.raises(EngineError, match="its vLLM process has died"):
        asyncio.run(dying.generate(prompts[:1], max_tokens=2))


def test_a_dead_engine_can_be_closed(dying: VllmEngine) -> None:
    asyncio.run(dying.close())
    asyncio.run(dying.close())
    with pytest.raises(EngineError, match="'stickers-vlm' is closed"):
        asyncio.run(dying.choose([ask(QUESTIONS[0])]))
