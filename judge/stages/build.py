"""From settings to the stages of the cascade; what is switched off is not imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, Self, assert_never

from judge.config import DebateRole, JudgeConfig
from judge.constitution import Constitution
from judge.engines.base import Embedder, Engine, ObjectDetector
from judge.errors import ConfigError, did_you_mean
from judge.prompts.debate import JudgedExample
from judge.registry import Registry
from judge.stages.cast import Cast
from judge.stages.chain_of_thought import ChainOfThought
from judge.stages.debate_stage import DebateStage, RuleDebate
from judge.stages.escalation import SlowStage
from judge.stages.localize import DetectorLocalizer, Localizer, OcclusionLocalizer
from judge.stages.region_test import RegionTest
from judge.stages.relevance import RelevanceScan
from judge.stages.vote import VoteStage


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


def build_stages(
    engine: Engine, config: JudgeConfig, panel: Mapping[str, Engine] | None = None
) -> tuple[SlowStage, ...]:
    """The slow stages that `config.cascade` switches on, in their order.

    Args:
        engine: The judge's own.
        config: What is switched on.
        panel: The running models of `config.panel`, by name.

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
    if config.cascade.vote.enabled:
        stages.append(VoteStage(engine, config.cascade.vote, config.thresholds))
    debate = config.cascade.debate
    if debate.enabled and debate.subject == "precondition":
        stages.append(DebateStage(build_cast(engine, config, panel or {}), debate, config.thresholds))
    return tuple(stages)


def build_rule_debate(
    engine: Engine,
    config: JudgeConfig,
    panel: Mapping[str, Engine] | None = None,
    *,
    examples: Mapping[str, Sequence[JudgedExample]] | None = None,
) -> RuleDebate | None:
    """The debate about open rules, if `config.cascade` switches it on.

    Args:
        engine: The judge's own.
        config: What is switched on.
        panel: The running models of `config.panel`, by name.
        examples: Media judged before, by rule id.

    Raises:
        ConfigError: As `build_stages`; or media are to be debated as a whole, which no verdict has room for.
    """
    debate = config.cascade.debate
    if not debate.enabled or debate.subject == "precondition":
        return None
    if debate.subject == "policy":
        raise ConfigError(
            "a debate about the whole policy says nothing of its rules, and so cannot be part of a verdict",
            hint="set cascade.debate.subject to precondition or rule; `policy` is for annotation",
        )
    return RuleDebate(build_cast(engine, config, panel or {}), debate, config.thresholds, examples=examples)


def build_cast(engine: Engine, config: JudgeConfig, panel: Mapping[str, Engine]) -> Cast:
    """Who plays which role of a debate, as `config.cascade.debate.panel` has it.

    Raises:
        ConfigError: A role names a model that is not in `panel`.
    """
    players: dict[DebateRole, Engine] = {}
    for role, name in config.cascade.debate.panel.items():
        if name not in panel and name in config.panel:
            raise ConfigError(f"model '{name}' of the panel plays the {role}, but is not running")
        if name not in panel:
            known = dict.fromkeys([*config.panel, *panel])
            raise ConfigError(
                f"cascade.debate.panel: the {role} is played by '{name}', which is no model of the panel",
                hint=did_you_mean(name, known) or "name its models under panel",
            )
        players[role] = panel[name]
    return Cast(engine, players)


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
