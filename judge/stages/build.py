"""From settings to the stages of the cascade; what is switched off is not imported."""

from __future__ import annotations

from typing import Protocol, Self, assert_never

from judge.config import JudgeConfig
from judge.constitution import Constitution
from judge.engines.base import Embedder, Engine, ObjectDetector
from judge.errors import ConfigError
from judge.registry import Registry
from judge.stages.chain_of_thought import ChainOfThought
from judge.stages.escalation import SlowStage
from judge.stages.localize import DetectorLocalizer, Localizer, OcclusionLocalizer
from judge.stages.region_test import RegionTest
from judge.stages.relevance import RelevanceScan


class _LoadableEmbedder(Embedder, Protocol):
    @classmethod
    def load(cls, model: str, device: str) -> Self: ...


class _LoadableDetector(ObjectDetector, Protocol):
    @classmethod
    def load(cls, model: str, device: str) -> Self: ...


EMBEDDERS: Registry[_LoadableEmbedder] = Registry("embedder")
EMBEDDERS.register("clip", "judge.engines.clip:ClipEmbedder")
EMBEDDERS.register("siglip", "judge.engines.clip:ClipEmbedder")
DETECTORS: Registry[_LoadableDetector] = Registry("object detector")
DETECTORS.register("owlv2", "judge.engines.owlv2:Owlv2Detector")


def build_scan(constitution: Constitution, config: JudgeConfig) -> RelevanceScan | None:
    """The relevance scan, if `config.cascade` switches it on.

    Raises:
        ConfigError: Its model cannot be found or loaded.
    """
    settings = config.cascade.relevance
    if settings.embedder == "off":
        return None
    embedder = EMBEDDERS.load(settings.embedder).load(settings.model, config.engine.device)
    return RelevanceScan(embedder, constitution, settings)


def build_stages(engine: Engine, config: JudgeConfig) -> tuple[SlowStage, ...]:
    """The slow stages that `config.cascade` switches on, in their order.

    Raises:
        ConfigError: A stage's model cannot be found or loaded, or the engine's model cannot do what a stage asks.
    """
    stages: list[SlowStage] = []
    region = config.cascade.region
    localizer = _localizer(engine, config)
    if localizer is not None:
        stages.append(RegionTest(engine, localizer, region, config.thresholds))
    if config.cascade.reasoning.enabled:
        if engine.info.question_format is not None:
            raise ConfigError(
                f"model '{engine.info.name}' is asked in the format of its training, which has no reasoning",
                hint="switch reasoning off, or choose a model that is no guard model",
            )
        stages.append(ChainOfThought(engine, config.cascade.reasoning, config.thresholds))
    return tuple(stages)


def _localizer(engine: Engine, config: JudgeConfig) -> Localizer | None:
    settings = config.cascade.region
    match settings.localizer:
        case "off":
            return None
        case "occlusion":
            return OcclusionLocalizer(
                engine, grid=settings.grid, fill=settings.fill, min_mass=config.thresholds.min_mass
            )
        case "owlv2":
            detector = DETECTORS.load("owlv2").load(settings.model, config.engine.device)
            return DetectorLocalizer(detector, min_score=settings.min_score)
    assert_never(settings.localizer)
