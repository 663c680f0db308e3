"""One YAML file becomes one frozen model, which is passed down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import yaml
from pydantic import Field, ValidationError

from judge.config.base import Settings
from judge.config.calibrated import Calibrated
from judge.config.cascade import Cascade
from judge.config.engine import EngineConfig
from judge.config.thresholds import Thresholds
from judge.config.video import VideoSettings
from judge.errors import ConfigError


class JudgeConfig(Settings):
    """Everything the pipeline needs beside the constitution."""

    engine: EngineConfig = EngineConfig()
    """The model."""
    thresholds: Thresholds = Thresholds()
    """When a probability counts as an answer."""
    calibrated: Calibrated | None = None
    """Thresholds of whole verdicts with a guarantee, as `judge calibrate` writes them; null = the rules decide."""
    cascade: Cascade = Cascade()
    """Stages beside the one-token questions."""
    panel: Mapping[str, EngineConfig] = Field(default_factory=dict)
    """More models, by a name of your own, for `cascade.debate.panel`."""
    video: VideoSettings = VideoSettings()
    """How videos are sampled and read."""
    max_frames: Annotated[int, Field(ge=1)] = 8
    """Frames judged of one animation (GIF, WebP); more are sampled down uniformly, and the verdict says so. Videos: see
    `video.sampling`."""
    concurrency: Annotated[int, Field(ge=1)] = 16
    """Media that are asked about in one engine call."""
    cache: bool = True
    """Keep the text-only readings on disk between runs."""
    cache_dir: Path | None = None
    """Where to keep them; None = the user's cache folder."""


def load_config(path: Path) -> JudgeConfig:
    """As `load_settings`."""
    return load_settings(JudgeConfig, path)


_Model = TypeVar("_Model", bound=Settings)


def load_settings(model: type[_Model], path: Path) -> _Model:
    """Read a YAML file; fields that it leaves out keep their defaults, and an empty file is all defaults.

    Raises:
        ConfigError: The file cannot be read, is not YAML, or has a wrong field, which is named.
    """
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config '{path}' cannot be read: {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"config '{path}' is not valid YAML: {one_line(error)}") from error
    if content is None:
        return model()
    if not isinstance(content, dict):
        raise ConfigError(f"config '{path}' must be a mapping of settings, not a {type(content).__name__}")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"config '{path}': {first_problem(error)}") from error


def first_problem(error: ValidationError) -> str:
    """The first wrong field, by its dotted name, and how many more there are."""
    problem = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in problem["loc"]) or "settings"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    message = "there is no such setting" if problem["type"] == "extra_forbidden" else problem["msg"]
    return f"{field}: {message}{more}"


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())
