"""What a profile says of a model reaches vLLM, and gives there what it gives with transformers."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from judge.config import EngineConfig, ModelTraits, QuestionSettings
from judge.engines.build import build_engine
from judge.engines.vllm import VllmEngine
from judge.errors import ConfigError
from judge.prompts.render import precondition_prompt
from judge.types import Frame
from tests.contracts.vllm_engine import needs_vllm, start_vllm_engine

TRAITS = ModelTraits(
    image={"size": {"longest_edge": 288}, "do_image_splitting": True},
    spellings={"Yes": ("picture",)},
    question=QuestionSettings(template="guard_shieldstral", frames_last=True),
)
FRAME = Frame(0, 0.0, np.random.default_rng(1).integers(0, 256, (144, 144, 3), dtype=np.uint8))


def test_a_model_in_a_wrapper_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model 'x' does not run in vLLM \(use the engine transformers\)"):
        VllmEngine("x", traits=ModelTraits(wrapper_class="ShieldGemma2ForImageClassification"))


@pytest.mark.slow
@needs_vllm
def test_vllm_reads_the_same_tokens_tiles_and_layout_as_transformers() -> None:
    prompts = [
        precondition_prompt(text, (FRAME,), TRAITS.question_format())
        for text in ("A dog is visible.", "A knife is visible.")
    ]
    ours = build_engine(EngineConfig(name="transformers", device="cpu", traits=TRAITS))
    theirs = start_vllm_engine(EngineConfig(name="vllm", traits=TRAITS))
    try:
        expected, found = (asyncio.run(engine.choose(prompts)) for engine in (ours, theirs))
    finally:
        asyncio.run(theirs.close())
    assert ours.info.digest == theirs.info.digest
    for one, other in zip(expected, found, strict=True):
        assert one.prompt_tokens == other.prompt_tokens
        assert one.mass == pytest.approx(other.mass, abs=1e-3)
        assert one.probabilities["Yes"] == pytest.approx(other.probabilities["Yes"], abs=1e-3)
