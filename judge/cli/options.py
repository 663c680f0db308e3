"""What several commands share: exit codes, and settings from options."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from judge.config import EngineConfig, JudgeConfig, Preset, load_config
from judge.errors import ConfigError

EXIT_USAGE, EXIT_SOME_FAILED, EXIT_FAIL_ON = 2, 3, 10


def judge_settings(
    config: Path | None,
    *,
    engine: str | None = None,
    model: str | None = None,
    preset: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
) -> JudgeConfig:
    """The configuration file with the options laid over it."""
    base = load_config(config) if config else JudgeConfig()
    known: tuple[Preset, ...] = get_args(Preset)
    if preset is not None and preset not in known:
        raise ConfigError(f"unknown preset '{preset}'", hint=f"one of {', '.join(known)}")
    thresholds = base.thresholds.model_copy(update={"preset": preset} if preset else {})
    chosen = override_engine(base.engine, engine=engine, model=model, device=device, dtype=dtype)
    return base.model_copy(update={"engine": chosen, "thresholds": thresholds})


def override_engine(
    base: EngineConfig, *, engine: str | None, model: str | None, device: str | None, dtype: str | None = None
) -> EngineConfig:
    """The configured engine with the options laid over it; an option that is None or empty changes nothing.

    What was set in neither place stays unset, so that a model's profile may fill it in.
    """
    options = {"name": engine, "model": model, "device": device, "dtype": dtype}
    return base.model_copy(update={name: value for name, value in options.items() if value})
