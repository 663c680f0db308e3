"""From a detector's settings to the configuration of our own judge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from judge.assets import constitution_path
from judge.bench.detectors.base import DetectorSettings
from judge.config import (
    Cascade,
    EngineConfig,
    JudgeConfig,
    OpenAIOptions,
    Preset,
    SamplingName,
    Settings,
    StageChoice,
    first_problem,
    load_config,
)
from judge.constitution import Constitution, load_constitution
from judge.engines.base import Engine
from judge.errors import ConfigError, ConstitutionError

OUR_FIELDS = ("model", "base_url", "api_key_env", "device")
"""What our own detectors use of `DetectorSettings` beside what every detector uses."""


class OursOptions(Settings):
    """Options of every detector that is our own judge."""

    constitution: str = "stickers"
    """Built-in name or YAML file."""
    config: Path | None = None
    """YAML with every setting, as for `judge score --config`; options here are laid over it."""
    engine: str = ""
    """Name of the engine; empty = the configuration's, or `openai` where `base_url` is given."""
    profile: str = ""
    """Profile of a `model` that is a folder or goes by another name."""
    dtype: str = ""
    """Number type of the model; empty = the configuration's."""
    preset: Preset | None = None
    """How answers are debiased; null = the configuration's."""
    sampling: SamplingName | None = None
    """Which frames of a video are judged; null = the configuration's."""
    frames: Annotated[int, Field(ge=1)] | None = None
    """Most frames judged of one video; null = the configuration's."""


class FullOptions(OursOptions):
    """Options of the whole cascade. Null: as `config` says; without a `config`, as each field says."""

    region: Literal["off", "occlusion", "owlv2"] | None = None
    """Region test of what is undecided; without a `config`: `occlusion`, which needs no other model."""
    reason: bool | None = None
    """Reason step by step about what is undecided; without a `config`: if the model can."""
    vote: bool | None = None
    """Vote on what is still undecided; without a `config`: no."""
    debate: Literal["off", "one", "both"] | None = None
    """Debate what is still undecided, in one speaking order or both; without a `config`: off."""


def policy_of(options: OursOptions) -> Constitution:
    """Raises `ConfigError` if there is no such constitution, or it is not sound."""
    try:
        return load_constitution(constitution_path(options.constitution))
    except ConstitutionError as error:
        raise ConfigError(f"constitution '{options.constitution}': {error.message}", hint=error.hint) from error


def base_config(settings: DetectorSettings, options: OursOptions) -> JudgeConfig:
    """The configuration file with everything but the stages laid over it.

    Raises:
        ConfigError: The file is wrong, or the server's address or key is.
    """
    base = load_config(options.config) if options.config else JudgeConfig()
    thresholds = base.thresholds.model_copy(update={"preset": options.preset} if options.preset else {})
    changed: dict[str, object] = {"engine": _engine(settings, options, base.engine), "thresholds": thresholds}
    if "batch" in settings.model_fields_set:
        changed["concurrency"] = settings.batch
    chosen = StageChoice(sampling=options.sampling, frames=options.frames)
    return chosen.over(base.model_copy(update=changed))


def fast_only(config: JudgeConfig) -> JudgeConfig:
    """Without any stage behind the one-token questions."""
    cascade = config.cascade
    kept = Cascade(relevance=cascade.relevance, holistic_weight=cascade.holistic_weight)
    return config.model_copy(update={"cascade": kept})


def with_stages(config: JudgeConfig, options: FullOptions, engine: Engine) -> JudgeConfig:
    """With the stages that are chosen, or those of `FullOptions` where there is no configuration file."""
    region, reason = options.region, options.reason
    if options.config is None:
        writes = engine.capabilities.generation and engine.info.question_format is None
        region, reason = region or "occlusion", writes if reason is None else reason
    return StageChoice(region=region, reason=reason, vote=options.vote, debate=options.debate).over(config)


def _engine(settings: DetectorSettings, options: OursOptions, base: EngineConfig) -> EngineConfig:
    """What was set nowhere stays unset, so that a model's profile may fill it in."""
    chosen: dict[str, object] = {
        "name": options.engine, "model": settings.model, "profile": options.profile, "dtype": options.dtype,
        "device": "" if settings.device == "auto" else settings.device,
    }  # fmt: skip
    if settings.base_url or settings.api_key_env:
        chosen |= {"name": options.engine or "openai", "openai": _server(settings, base)}
    return base.model_copy(update={field: value for field, value in chosen.items() if value})


def _server(settings: DetectorSettings, base: EngineConfig) -> OpenAIOptions:
    fields = {"base_url": settings.base_url, "api_key_env": settings.api_key_env}
    known = base.openai.model_dump(exclude_unset=True)
    try:
        return OpenAIOptions.model_validate({**known, **{name: text for name, text in fields.items() if text}})
    except ValidationError as error:
        raise ConfigError(f"detector '{settings.name}': {first_problem(error)}") from error
