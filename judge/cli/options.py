"""What several commands share: exit codes, settings from options, writing a page."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from judge.config import JudgeConfig, Preset, load_config
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
    options = {"name": engine, "model": model, "device": device, "dtype": dtype}
    chosen = {name: value for name, value in options.items() if value}
    known: tuple[Preset, ...] = get_args(Preset)
    if preset is not None and preset not in known:
        raise ConfigError(f"unknown preset '{preset}'", hint=f"one of {', '.join(known)}")
    thresholds = base.thresholds.model_copy(update={"preset": preset} if preset else {})
    return base.model_copy(update={"engine": base.engine.model_copy(update=chosen), "thresholds": thresholds})


def write_page(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be written: {error.strerror}") from error
