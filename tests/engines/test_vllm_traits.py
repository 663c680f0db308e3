"""What a profile says of a model reaches vLLM, and gives there what it gives with transformers.

Starting vLLM takes long: the engine that is started for this is then closed in the middle of its work.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import time
from collections.abc import Iterator

import numpy as np
import pytest

from judge.config import EngineConfig, ModelTraits, QuestionSettings, VllmOptions
from judge.engines.build import build_engine
from judge.engines.vllm import VllmEngine
from judge.errors import ConfigError, EngineError
from judge.prompts.render import precondition_prompt
from judge.types import ChoiceProbabilities, Frame
from tests.contracts.vllm_engine import needs_vllm, one_vllm, start_vllm_engine
from tests.engines.test_vllm import core_process, sample_prompts

TRAITS = ModelTraits(
    image={"size": {"longest_edge": 288}, "do_image_splitting": True},
    spellings={"Yes": ("picture",)},
    question=QuestionSettings(template="guard_shieldstral", frames_last=True),
)
OPTIONS = VllmOptions(options={"max_num_seqs": 4, "kv_cache_memory_bytes": 1 << 28})
FRAME = Frame(0, 0.0, np.random.default_rng(1).integers(0, 256, (144, 144, 3), dtype=np.uint8))


def test_a_model_in_a_wrapper_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model 'x' does not run in vLLM \(use the engine transformers\)"):
        VllmEngine("x", traits=ModelTraits(wrapper_class="ShieldGemma2ForImageClassification"))


@pytest.fixture(scope="module")
def theirs() -> Iterator[VllmEngine]:
    """The last test of this file closes it."""
    engine = start_vllm_engine(EngineConfig(name="vllm", traits=TRAITS, vllm=OPTIONS))
    yield engine
    asyncio.run(engine.close())


@pytest.mark.slow
@needs_vllm
@one_vllm
def test_vllm_reads_the_same_tokens_tiles_and_layout_as_transformers(theirs: VllmEngine) -> None:
    prompts = [
        precondition_prompt(text, (FRAME,), TRAITS.question_format())
        for text in ("A dog is visible.", "A knife is visible.")
    ]
    ours = build_engine(EngineConfig(name="transformers", device="cpu", traits=TRAITS))
    expected, found = (asyncio.run(engine.choose(prompts)) for engine in (ours, theirs))
    assert ours.info.digest == theirs.info.digest
    for one, other in zip(expected, found, strict=True):
        assert one.prompt_tokens == other.prompt_tokens
        assert one.mass == pytest.approx(other.mass, abs=1e-3)
        assert one.probabilities["Yes"] == pytest.approx(other.probabilities["Yes"], abs=1e-3)


@pytest.mark.slow
@needs_vllm
@one_vllm
def test_a_closed_engine_finishes_its_work_and_refuses_more(theirs: VllmEngine) -> None:
    prompts, process = sample_prompts(), core_process(theirs)

    async def close_meanwhile() -> list[ChoiceProbabilities]:
        work = asyncio.create_task(theirs.choose(prompts))
        await asyncio.sleep(0.02)
        await theirs.close()
        return await work

    assert len(asyncio.run(close_meanwhile())) == len(prompts)
    with pytest.raises(EngineError, match="'stickers-vlm' is closed"):
        asyncio.run(theirs.choose(prompts[:1]))
    assert ends(process)


def ends(process: int, *, within_s: float = 60.0) -> bool:
    """Whether a child is gone. vLLM kills one that is slow to end and does not wait for it: it is then reaped here."""
    deadline_s = time.monotonic() + within_s
    while time.monotonic() < deadline_s:
        multiprocessing.active_children()  # reaps
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False
