"""When a probability counts as an answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from judge.config.base import Fraction, Logit, Margin, Settings, settings_digest
from judge.odds import NEVER
from judge.types import Reference

Preset = Literal["none", "threshold", "clue", "log_odds", "contextual", "contrastive", "batch", "mixture"]
"""Rules of `judge.debias`."""


class Mixture(Settings):
    """Two bells over the observed logits of one precondition: where it does not hold, and where it does."""

    low_mean: Logit
    low_std: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    high_mean: Logit
    high_std: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    high_share: Annotated[float, Field(gt=0.0, lt=1.0)]
    """Share of the corpus in which the precondition holds."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low_mean >= self.high_mean:
            raise ValueError("low_mean must be below high_mean")
        return self


class CorpusStatistics(Settings):
    """What the observed readings of one precondition look like over an unlabelled corpus."""

    mean: Fraction | None = None
    """`batch`: mean probability."""
    mixture: Mixture | None = None
    """`mixture`."""


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
    """References are clipped to [clip, 1 - clip] before their logits are taken, except by `clue`."""
    accept_margin: Margin = round(math.log(4), 4)
    """Presets that shift logits: satisfied from this debiased logit on; the default is a probability of 0.8."""
    reject_margin: Margin = round(math.log(4), 4)
    """Presets that shift logits: rejected from minus this debiased logit down."""
    clue_reject: Fraction = 0.3
    """`clue`: rejected if observed - prior < -clue_reject * prior."""
    clue_accept: Fraction = 0.8
    """`clue`: satisfied if observed - prior > clue_accept * (1 - prior)."""
    clue_region: Fraction = 0.6
    """`clue`: satisfied if observed - occluded > clue_region."""
    contextual_references: Annotated[tuple[Reference, ...], Field(min_length=1)] = ("none",)
    """`contextual`: the mean of their logits is taken off."""
    contrastive_strength: Margin = 1.0
    """`contrastive`: a in (1 + a) z_x - a z_ref."""
    contrastive_reference: Literal["noised", "occluded"] = "noised"
    """`contrastive`: the picture under noise, or with its region removed (where there is a region test)."""
    corpus: Mapping[str, CorpusStatistics] = Field(default_factory=dict)
    """`batch`, `mixture`: statistics by precondition id."""
    region_accept: Margin = NEVER
    """Region test: satisfied if removing the region takes this much more off the logit than removing a random one does.
    Never, by default: an answer about two things falls without either, whether or not what is said of them holds."""
    region_reject: Margin = 0.5
    """Region test: an answer that falls by less than this without the region does not rest on it."""
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
        return settings_digest(self)
