"""Thresholds fitted on labelled media, what they guarantee, and with what they may be used. Applied by
`judge.guarantee`, fitted by `judge.calibrate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from judge.config.base import Fraction, Logit, Settings, settings_digest
from judge.types import MediaKind

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(gt=0.0, lt=1.0)]


class CalibratedSide(Settings):
    """The threshold of one side of one stage, and the test that it passed. Its error: of the media called so, the share
    that people call otherwise."""

    threshold: Fraction
    """unsafe: scores from here on; safe: scores up to here."""
    n_tested: Count
    """Labelled media on this side of it, in the part that tested it."""
    n_wrong: Count
    """Those of them that are labelled otherwise."""
    upper_bound: Fraction
    """Of the error: exact (Clopper-Pearson), at this side's share of the confidence."""


class CalibratedStage(Settings):
    """What one stage may settle. A side that is None settles nothing: no threshold passed its test."""

    stage: str
    """`fast` = the one-token questions; else the name of a slow stage."""
    unsafe: CalibratedSide | None = None
    """From which score media are unsafe."""
    safe: CalibratedSide | None = None
    """Up to which score media are safe."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.unsafe and self.safe and self.safe.threshold >= self.unsafe.threshold:
            raise ValueError(f"stage '{self.stage}': the safe threshold must lie below the unsafe one")
        return self


class ScoreMap(Settings):
    """From a score to the share of labelled media with such a score that are harmful; never falls as scores rise."""

    method: Literal["platt", "isotonic"]
    """`platt`: sigmoid(slope * logit(score) + intercept); `isotonic`: straight lines between knots."""
    n: Count
    """Labels it was fitted on."""
    slope: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 1.0
    """`platt`."""
    intercept: Logit = 0.0
    """`platt`."""
    knots: tuple[tuple[Fraction, Fraction], ...] = ()
    """`isotonic`: pairs of score and share, ascending."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.method == "isotonic" and not self.knots:
            raise ValueError("an isotonic map needs knots")
        columns = zip(*self.knots, strict=True)
        if any(list(column) != sorted(column) for column in columns):
            raise ValueError("the knots of an isotonic map must ascend")
        return self


class MadeWith(Settings):
    """Digests of what the scores came from. With anything else the guarantee does not hold."""

    model: str
    """Of the model; see `Versions.model`."""
    templates: str
    """Of the prompt templates."""
    constitution: str
    """Of the constitution."""
    thresholds: str
    """Of the settings `thresholds`."""
    cascade: str
    """Of the stages and their models."""


class LabelledData(Settings):
    """What it was fitted on."""

    name: str
    """Of the data set and its split."""
    digest: str
    """sha256 (hex) of the media's digests and labels."""
    n: Count
    """Labelled media used."""
    n_harmful: Count
    """Those of them that are harmful. Where harm is rarer or commoner than here, the errors are others."""


class Calibrated(Settings):
    """With probability `confidence` over the draw of the labelled media, on each side of each stage at most `max_error`
    of the media that it settles are settled wrongly: for media drawn like those. Source: "Trust or Escalate" (ICLR
    2025), with the changes that docs/decisions/0008 gives reasons for."""

    max_error: Share
    """alpha."""
    confidence: Share
    """1 - delta, all sides and stages together."""
    stages: Annotated[tuple[CalibratedStage, ...], Field(min_length=1)]
    """In the order in which they run."""
    kinds: tuple[MediaKind, ...] = ("image",)
    """Media that it holds for; others are decided by the rules, without a guarantee."""
    made_with: MadeWith
    """Digests of what the scores came from."""
    data: LabelledData
    """What it was fitted on."""
    score_map: ScoreMap | None = None
    """Of the score of a verdict."""
    rule_maps: Mapping[str, ScoreMap] = Field(default_factory=dict)
    """Of the scores of rules, by id; only of those with enough labels."""
    precondition_maps: Mapping[str, ScoreMap] = Field(default_factory=dict)
    """Of the probabilities of preconditions, by id; only of those with enough labels."""

    @property
    def digest(self) -> str:
        """sha256 (hex) of all fields."""
        return settings_digest(self)
