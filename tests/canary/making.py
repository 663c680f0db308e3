"""Scripted engines and records for the tests of the canary."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from judge.canary import CanaryRecord, record_canary
from judge.canary.record import GoldenScore
from judge.engines.base import Capabilities, ModelInfo
from judge.engines.scripted import Answer, Scripted, ScriptedEngine

FLOAT32 = ModelInfo("pen", "d" * 64, runtime="transformers/float32/cpu")
BFLOAT16 = ModelInfo("pen", "d" * 64, runtime="transformers/bfloat16/cuda")
CAT, SHARED = "There is a cat.", "There is a dog."
"""The first is asked once, the second with and without a picture."""


def scripted(
    answers: dict[str, Scripted] | None = None,
    *,
    info: ModelInfo = FLOAT32,
    capabilities: Capabilities | None = None,
) -> ScriptedEngine:
    """Answers 0.3 with a mass of 0.9 to everything that is not in `answers`."""
    return ScriptedEngine(answers, default=Answer(0.3, mass=0.9), info=info, capabilities=capabilities)


def recorded(engine: ScriptedEngine | None = None) -> CanaryRecord:
    return asyncio.run(record_canary(engine or scripted()))


def with_scores(record: CanaryRecord, change: Callable[[GoldenScore], GoldenScore]) -> CanaryRecord:
    return record.model_copy(update={"scores": tuple(change(score) for score in record.scores)})
