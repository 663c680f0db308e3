"""From the readings of one yes/no question to satisfied, rejected or undecided: small pure rules.

Notation: p is the reading with the picture, p0 the one without (text only), pr the one with the region of the focus
objects removed; z = ln(p / (1 - p)). Most rules are z = z_x - sum of w_k z_k over some references k.
Not here: how a reference is read (`judge.stages`), how corpus statistics are fitted (`judge.corpus`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import assert_never

from judge.config import CorpusStatistics, Mixture, Thresholds
from judge.odds import logit, sigmoid
from judge.types import Outcome, Readings, Reference


@dataclass(frozen=True, slots=True)
class Settled:
    """What follows from the readings. `reason` is empty unless undecided."""

    outcome: Outcome
    probability: float
    reason: str = ""


def references(thresholds: Thresholds) -> tuple[Reference, ...]:
    """What the preset reads beside the picture itself; the region test is a stage of its own."""
    match thresholds.preset:
        case "clue" | "log_odds":
            return ("none",)
        case "contextual":
            return thresholds.contextual_references
        case "contrastive":
            return ("noised",) if thresholds.contrastive_reference == "noised" else ()
        case "none" | "threshold" | "batch" | "mixture":
            return ()
    assert_never(thresholds.preset)


def missing_references(readings: Readings, thresholds: Thresholds) -> list[Reference]:
    """References that the preset needs and that were not read."""
    return [name for name in references(thresholds) if _reference(readings, name) is None]


def settle(readings: Readings, thresholds: Thresholds, precondition_id: str = "") -> Settled:
    """Apply the preset and, where a region was removed, the region test.

    Low label mass, or a reference or statistic that is needed and missing, is undecided whatever p says. Where the
    region is so small that it was asked about alone, that reading stands for p (source: CLUE, section 3.4).
    """
    observed = readings.references.get("crop", readings.observed)
    missing = missing_references(readings, thresholds)
    if missing:
        return Settled("undecided", observed, f"the reading {_NAMES[missing[0]]} is missing")
    settled = _by_preset(observed, readings, thresholds, thresholds.corpus.get(precondition_id))
    if readings.mass < thresholds.min_mass:
        reason = f"the model put only {readings.mass:.2f} of its probability on Yes and No"
        return Settled("undecided", settled.probability, reason)
    if readings.occluded is None or thresholds.preset == "clue":
        return settled
    return region_test(settled, observed, readings, thresholds)


def none(observed: float, thresholds: Thresholds) -> Settled:
    """z_x: the observed probability against `accept` and `reject`."""
    return _by_probability(observed, thresholds)


def threshold(observed: float, thresholds: Thresholds) -> Settled:
    """z_x - bias, then as `none`: a one-way shift.

    Source: "Mirage of Performance Gains" (arXiv 2504.10020): the baseline that a debias method must beat.
    """
    return _by_probability(sigmoid(logit(observed) - thresholds.bias), thresholds)


def clue(observed: float, prior: float, occluded: float | None, thresholds: Thresholds) -> Settled:
    """The published tests in their order: p - p0 < -0.3 p0; p - p0 > 0.8 (1 - p0); box found and p - pr > 0.6.

    CLUE gives a decision and no debiased probability, so the one reported is the observed p. Kept exactly,
    with its faults: at p0 = 0 nothing is ever rejected, at p0 = 1 the second test accepts nothing.
    Source: CLUE (arXiv 2501.00192), section 3.4.
    """
    change = observed - prior
    if change < -thresholds.clue_reject * prior:
        return Settled("rejected", observed)
    if change > thresholds.clue_accept * (1.0 - prior):
        return Settled("satisfied", observed)
    if occluded is not None and observed - occluded > thresholds.clue_region:
        return Settled("satisfied", observed)
    return _undecided(observed, f"p changes by {change:+.2f} from the prior {prior:.2f}: no test of CLUE holds")


def log_odds(observed: float, prior: float, thresholds: Thresholds) -> Settled:
    """z_x - w z_0, with p0 clipped so that a sure prior cannot silence the image; a margin on either side.

    Ours; mends the faults of `clue` at p0 near 0 and 1.
    """
    return _by_margin(logit(observed) - thresholds.prior_weight * _clipped_logit(prior, thresholds), thresholds)


def contextual(observed: float, read: list[float], thresholds: Thresholds) -> Settled:
    """z_x less the mean logit of content-free references, whole.

    Source: contextual calibration (arXiv 2102.09690); the same as domain-conditional PMI (arXiv 2104.08315).
    """
    return _by_margin(logit(observed) - fmean(_clipped_logit(p, thresholds) for p in read), thresholds)


def contrastive(observed: float, reference: float, thresholds: Thresholds) -> Settled:
    """(1 + a) z_x - a z_ref, against the picture under noise or without its region.

    Source: visual contrastive decoding (arXiv 2311.16922); contrastive region guidance (arXiv 2403.02325).
    """
    a = thresholds.contrastive_strength
    return _by_margin((1.0 + a) * logit(observed) - a * _clipped_logit(reference, thresholds), thresholds)


def batch(observed: float, mean: float, thresholds: Thresholds) -> Settled:
    """z_x less the logit of the mean probability over an unlabelled corpus.

    Source: batch calibration (arXiv 2309.17249).
    """
    return _by_margin(logit(observed) - _clipped_logit(mean, thresholds), thresholds)


def mixture(observed: float, fitted: Mixture, thresholds: Thresholds) -> Settled:
    """The posterior of the upper of two bells over the corpus's logits, against `accept` and `reject`.

    Beyond the means the tails of unequal bells cross again; there the nearer bell alone counts.
    """
    z = min(max(logit(observed), fitted.low_mean), fitted.high_mean)
    high = math.log(fitted.high_share) + _log_bell(z, fitted.high_mean, fitted.high_std)
    low = math.log1p(-fitted.high_share) + _log_bell(z, fitted.low_mean, fitted.low_std)
    return _by_probability(sigmoid(high - low), thresholds)


def region_test(settled: Settled, observed: float, readings: Readings, thresholds: Thresholds) -> Settled:
    """Does the answer rest on the region? Two-sided, against a random box of the same size as control.

    The fall is that of the logit without the region, less that without the control box. A steep fall accepts what was
    open. An answer that survives does not rest on what it names: a Yes is taken back, and what leaned to No is
    rejected. A rejection stays. The probability follows the outcome, to the bound that it stands for.
    Ours; CLUE (arXiv 2501.00192), section 3.4, accepts only.
    """
    assert readings.occluded is not None
    z = logit(observed)
    control = max(0.0, z - logit(readings.references.get("control", observed)))
    fall = z - logit(readings.occluded) - control
    if settled.outcome == "undecided" and fall >= thresholds.region_accept:
        return Settled("satisfied", max(settled.probability, thresholds.accept))
    if settled.outcome == "rejected" or fall >= thresholds.region_reject:
        return settled
    if settled.outcome == "undecided" and settled.probability < 0.5:
        return Settled("rejected", min(settled.probability, thresholds.reject))
    return _undecided(
        min(settled.probability, thresholds.accept), f"the logit falls by {fall:.2f} only when the region is removed"
    )


def _by_preset(  # noqa: PLR0911  (one per preset)
    observed: float, readings: Readings, thresholds: Thresholds, corpus: CorpusStatistics | None
) -> Settled:
    prior = readings.prior or 0.0
    match thresholds.preset:
        case "none":
            return none(observed, thresholds)
        case "threshold":
            return threshold(observed, thresholds)
        case "clue":
            return clue(observed, prior, readings.occluded, thresholds)
        case "log_odds":
            return log_odds(observed, prior, thresholds)
        case "contextual":
            read = [_reference(readings, name) for name in thresholds.contextual_references]
            return contextual(observed, [p for p in read if p is not None], thresholds)
        case "contrastive":
            return _contrastive(observed, readings, thresholds)
        case "batch":
            if corpus is None or corpus.mean is None:
                return _undecided(observed, "there is no mean of this precondition over a corpus")
            return batch(observed, corpus.mean, thresholds)
        case "mixture":
            if corpus is None or corpus.mixture is None:
                return _undecided(observed, "there is no mixture of this precondition over a corpus")
            return mixture(observed, corpus.mixture, thresholds)
    assert_never(thresholds.preset)


def _contrastive(observed: float, readings: Readings, thresholds: Thresholds) -> Settled:
    """Without a region, there is nothing to contrast with: as `none`."""
    if thresholds.contrastive_reference == "noised":
        return contrastive(observed, readings.references["noised"], thresholds)
    if readings.occluded is None:
        return none(observed, thresholds)
    return contrastive(observed, readings.occluded, thresholds)


def _reference(readings: Readings, name: Reference) -> float | None:
    return readings.prior if name == "none" else readings.references.get(name)


def _by_probability(probability: float, thresholds: Thresholds) -> Settled:
    if probability >= thresholds.accept:
        return Settled("satisfied", probability)
    if probability <= thresholds.reject:
        return Settled("rejected", probability)
    return _undecided(
        probability, f"probability {probability:.2f} lies between {thresholds.reject:.2f} and {thresholds.accept:.2f}"
    )


def _by_margin(z: float, thresholds: Thresholds) -> Settled:
    probability = sigmoid(z)
    if z >= thresholds.accept_margin:
        return Settled("satisfied", probability)
    if z <= -thresholds.reject_margin:
        return Settled("rejected", probability)
    margins = f"-{thresholds.reject_margin:.2f} and {thresholds.accept_margin:.2f}"
    return _undecided(probability, f"debiased logit {z:+.2f} lies between {margins}")


def _undecided(probability: float, reason: str) -> Settled:
    return Settled("undecided", probability, reason)


def _clipped_logit(reference: float, thresholds: Thresholds) -> float:
    return logit(min(max(reference, thresholds.prior_clip), 1.0 - thresholds.prior_clip))


def _log_bell(z: float, mean: float, std: float) -> float:
    """Log density of a normal distribution, less the constant that all have."""
    return -0.5 * ((z - mean) / std) ** 2 - math.log(std)


_NAMES: dict[Reference, str] = {
    "none": "without the image",
    "blank": "of a blank picture",
    "noise": "of noise",
    "noised": "of the picture under noise",
}
