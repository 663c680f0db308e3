"""From the readings of one yes/no question to satisfied, rejected or undecided: small pure rules.

Notation: p is the reading with the image, p0 the one without (text only), z = ln(p / (1 - p)).
Source: CLUE (arXiv 2501.00192), section 3.4, and the family z = z_x - sum of w_k z_k that it belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from judge.config import Preset, Thresholds
from judge.odds import logit, sigmoid
from judge.types import Outcome, Readings


@dataclass(frozen=True, slots=True)
class Settled:
    """What follows from the readings. `reason` is empty unless undecided."""

    outcome: Outcome
    probability: float
    reason: str = ""


def needs_prior(preset: Preset) -> bool:
    """Whether the preset reads the question without the image as well."""
    return preset in ("clue", "log_odds")


def settle(readings: Readings, thresholds: Thresholds) -> Settled:
    """Apply the preset. Low label mass, or a prior that is needed and missing, is undecided whatever p says."""
    if needs_prior(thresholds.preset) and readings.prior is None:
        return Settled("undecided", readings.observed, "the reading without the image is missing")
    settled = _by_preset(readings.observed, readings.prior or 0.0, thresholds)
    if readings.mass < thresholds.min_mass:
        reason = f"the model put only {readings.mass:.2f} of its probability on Yes and No"
        return Settled("undecided", settled.probability, reason)
    return settled


def none(observed: float, thresholds: Thresholds) -> Settled:
    """z_x: the observed probability against `accept` and `reject`."""
    return _by_probability(observed, thresholds)


def threshold(observed: float, thresholds: Thresholds) -> Settled:
    """z_x - bias, then as `none`: a one-way shift.

    Source: "Mirage of Performance Gains" (arXiv 2504.10020): the baseline that a debias method must beat.
    """
    return _by_probability(sigmoid(logit(observed) - thresholds.bias), thresholds)


def clue(observed: float, prior: float, thresholds: Thresholds) -> Settled:
    """The published tests in their order, without the region test: p - p0 < -0.3 p0, then p - p0 > 0.8 (1 - p0).

    CLUE gives a decision and no debiased probability, so the one reported is the observed p. Kept exactly,
    with its faults: at p0 = 0 nothing is ever rejected, at p0 = 1 nothing is ever accepted.
    Source: CLUE (arXiv 2501.00192), section 3.4.
    """
    change = observed - prior
    if change < -thresholds.clue_reject * prior:
        return Settled("rejected", observed)
    if change > thresholds.clue_accept * (1.0 - prior):
        return Settled("satisfied", observed)
    return _undecided(observed, f"p changes by {change:+.2f} from the prior {prior:.2f}: neither test of CLUE holds")


def log_odds(observed: float, prior: float, thresholds: Thresholds) -> Settled:
    """z_x - w z_0, with p0 clipped so that a sure prior cannot silence the image; a margin on either side.

    Ours; mends the faults of `clue` at p0 near 0 and 1.
    """
    clipped = min(max(prior, thresholds.prior_clip), 1.0 - thresholds.prior_clip)
    z = logit(observed) - thresholds.prior_weight * logit(clipped)
    probability = sigmoid(z)
    if z >= thresholds.accept_margin:
        return Settled("satisfied", probability)
    if z <= -thresholds.reject_margin:
        return Settled("rejected", probability)
    margins = f"-{thresholds.reject_margin:.2f} and {thresholds.accept_margin:.2f}"
    return _undecided(probability, f"debiased logit {z:+.2f} lies between {margins}")


def _by_preset(observed: float, prior: float, thresholds: Thresholds) -> Settled:
    match thresholds.preset:
        case "none":
            return none(observed, thresholds)
        case "threshold":
            return threshold(observed, thresholds)
        case "clue":
            return clue(observed, prior, thresholds)
        case "log_odds":
            return log_odds(observed, prior, thresholds)
    assert_never(thresholds.preset)


def _by_probability(probability: float, thresholds: Thresholds) -> Settled:
    if probability >= thresholds.accept:
        return Settled("satisfied", probability)
    if probability <= thresholds.reject:
        return Settled("rejected", probability)
    return _undecided(
        probability, f"probability {probability:.2f} lies between {thresholds.reject:.2f} and {thresholds.accept:.2f}"
    )


def _undecided(probability: float, reason: str) -> Settled:
    return Settled("undecided", probability, reason)
