"""The scores that a model gave to the golden questions, as a JSON file: `records/<model>.json`, or the caller's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from judge.canary.golden import GoldenQuestion
from judge.errors import ConfigError
from judge.types import Probability, Wire

Distance = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class Tolerance(Wire):
    """How far a score may lie from its record.

    P(Yes) is compared in log-odds, because rounding moves logits by the same amount wherever they are: the int8 copy
    below is 0.03 off in probability at most. Measured on the embedded model against transformers in float32, the
    farthest of 12 answers in log-odds: vLLM float32 1.3e-5; transformers float16 0.010; bfloat16 0.066 (vLLM: 0.059);
    transformers with linear layers in dynamic int8 0.40. In label mass: bfloat16 3e-5, int8 1.3e-3.
    """

    float32: Distance = 0.01
    """In log-odds, where the record and the engine both compute in float32."""
    log_odds: Distance = 0.25
    """In log-odds, everywhere else: half precision, and servers that do not say how they compute. It is less than a
    fifth of the margin at which the preset `log_odds` accepts."""
    mass: Distance = 0.05
    """In label mass."""


class GoldenScore(Wire):
    """One answer."""

    picture: str
    """Name of the golden picture; empty = the question was asked without one."""
    statement: str
    """What was asked."""
    p_yes: Probability
    """P(Yes) / (P(Yes) + P(No))."""
    mass: Annotated[float, Field(gt=0.0, le=1.0)]
    """P(Yes) + P(No) in the whole vocabulary."""

    @property
    def question(self) -> GoldenQuestion:
        return GoldenQuestion(self.picture, self.statement)


class CanaryRecord(Wire):
    """What was asked, of which model, and what it answered."""

    schema_version: Literal[1] = 1
    """Of this file."""
    model: str
    """Name of the model, for people."""
    model_digest: str
    """As `judge.engines.base.ModelInfo`: a record holds for exactly this model."""
    runtime: str
    """What the model ran on."""
    package: str
    """Version of visual-judge, for people."""
    template_digest: str
    """sha256 of the template that words the questions."""
    pictures: Mapping[str, str]
    """sha256 of the pixels of every golden picture, by name."""
    tolerance: Tolerance = Tolerance()
    """May be edited by hand; an engine that draws samples needs far more than the default."""
    scores: Annotated[tuple[GoldenScore, ...], Field(min_length=1)]
    """One per golden question."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({score.question for score in self.scores}) != len(self.scores):
            raise ValueError("a question is there twice")
        return self


def load_record(path: Path) -> CanaryRecord:
    """Read a record.

    Raises:
        ConfigError: The file cannot be read, or is no record; the message names the first wrong field.
    """
    hint = f"record it again: judge canary record --out '{path}'"
    try:
        return CanaryRecord.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"canary record '{path}' cannot be read: {error.strerror}", hint=hint) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "file"
        raise ConfigError(f"canary record '{path}' is no record: {field}: {first['msg']}", hint=hint) from error
