"""What can be set: one YAML file becomes one frozen model, which is passed down.

Nothing here reads the environment, and nothing below the entry points reads files.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from judge.errors import ConfigError

Preset = Literal["none", "threshold", "clue", "log_odds"]
"""Rules of `judge.debias`."""

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Margin = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class Settings(BaseModel):
    """Base of every setting: frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Thresholds(Settings):
    """When a probability counts as an answer. Everything here changes verdicts, so all of it is in `digest`."""

    preset: Preset = "log_odds"
    """Which debias rule reads the probabilities."""
    accept: Fraction = 0.8
    """`none`, `threshold`: satisfied from this probability on."""
    reject: Fraction = 0.2
    """`none`, `threshold`: rejected up to this probability."""
    bias: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    """`threshold`: logits taken off the observed reading."""
    prior_weight: Margin = 0.5
    """`log_odds`: share of the prior's logit taken off the observed one."""
    prior_clip: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.02
    """`log_odds`: the prior is clipped to [clip, 1 - clip] first."""
    accept_margin: Margin = round(math.log(4), 4)
    """`log_odds`: satisfied from this debiased logit on; the default is a probability of 0.8."""
    reject_margin: Margin = round(math.log(4), 4)
    """`log_odds`: rejected from minus this debiased logit down."""
    clue_reject: Fraction = 0.3
    """`clue`: rejected if observed - prior < -clue_reject * prior."""
    clue_accept: Fraction = 0.8
    """`clue`: satisfied if observed - prior > clue_accept * (1 - prior)."""
    min_mass: Fraction = 0.5
    """Less label mass than this is no answer: undecided."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.reject > self.accept:
            raise ValueError(f"reject ({self.reject}) must not be above accept ({self.accept})")
        return self

    @property
    def digest(self) -> str:
        """sha256 (hex) of all fields."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


class VllmOptions(Settings):
    """What only the engine `vllm` reads."""

    options: Mapping[str, JsonValue] = Field(default_factory=dict)
    """Arguments of vLLM's `AsyncEngineArgs` by name, over our defaults: `{gpu_memory_utilization: 0.8}`."""


class EngineConfig(Settings):
    """Which model answers, and where it runs."""

    name: str = "transformers"
    """Name of the engine in its registry."""
    model: str = "stickers-vlm"
    """An embedded model's name, a folder, or a Hugging Face id."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:0`..."""
    dtype: str = "auto"
    """`auto`, `float32`, `bfloat16`, `float16`."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Prompts in one forward pass; vLLM's `max_num_seqs`, worth raising on a GPU."""
    revision: str | None = None
    """Revision of a Hugging Face id; None = its default branch."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for models whose code you have read."""
    vllm: VllmOptions = VllmOptions()
    """More settings of the engine `vllm`."""


class JudgeConfig(Settings):
    """Everything the pipeline needs beside the constitution."""

    engine: EngineConfig = EngineConfig()
    """The model."""
    thresholds: Thresholds = Thresholds()
    """When a probability counts as an answer."""
    max_frames: Annotated[int, Field(ge=1)] = 8
    """Frames judged of one animation or video; more are sampled down uniformly, and the verdict says so."""
    concurrency: Annotated[int, Field(ge=1)] = 16
    """Media that are asked about in one engine call."""
    cache: bool = True
    """Keep the text-only readings on disk between runs."""
    cache_dir: Path | None = None
    """Where to keep them; None = the user's cache folder."""


def load_config(path: Path) -> JudgeConfig:
    """Read a YAML file; fields that it leaves out keep their defaults, and an empty file is all defaults.

    Raises:
        ConfigError: The file cannot be read, is not YAML, or has a wrong field, which is named.
    """
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config '{path}' cannot be read: {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"config '{path}' is not valid YAML: {_one_line(error)}") from error
    if content is None:
        return JudgeConfig()
    if not isinstance(content, dict):
        raise ConfigError(f"config '{path}' must be a mapping of settings, not a {type(content).__name__}")
    try:
        return JudgeConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"config '{path}': {_first_problem(error)}") from error


def _first_problem(error: ValidationError) -> str:
    """The first wrong field, by its dotted name, and how many more there are."""
    problem = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in problem["loc"]) or "settings"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    message = "there is no such setting" if problem["type"] == "extra_forbidden" else problem["msg"]
    return f"{field}: {message}{more}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
