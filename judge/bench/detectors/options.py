"""What detectors share when they read their settings."""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from judge.bench.detectors.base import DetectorSettings
from judge.config import Settings, first_problem
from judge.errors import ConfigError, did_you_mean, quoted

_Options = TypeVar("_Options", bound=Settings)
_NOT_ALWAYS = ("model", "base_url", "api_key_env", "device")
"""Fields of the settings that not every detector can use; the others mean the same for all."""


def read_options(kind: type[_Options], settings: DetectorSettings, *, uses: tuple[str, ...] = ()) -> _Options:
    """The options of one detector, checked.

    Args:
        kind: What it knows.
        uses: Which of `model`, `base_url`, `api_key_env` and `device` it can use. Others that are set are an error:
            whoever set them believes that they count.

    Raises:
        ConfigError: An option is unknown or wrong, or a field is set that this detector has no use for.
    """
    where = f"detector '{settings.name}'"
    for field in _NOT_ALWAYS:
        if field not in uses and getattr(settings, field) != DetectorSettings.model_fields[field].default:
            raise ConfigError(f"{where} has no use for '{field}'", hint="leave it out")
    known = [*kind.model_fields, *uses, "label", "threshold", "batch"]
    for option in settings.options:
        if option not in kind.model_fields:
            raise ConfigError(f"{where} has no option {quoted(option)}", hint=did_you_mean(option, known))
    try:
        return kind.model_validate(dict(settings.options))
    except ValidationError as error:
        raise ConfigError(f"{where}: option {first_problem(error)}") from error
