"""Fitted thresholds at work: which scores settle media, with what promise, and what scores mean as shares. Pure.

Not here: how they are fitted (`judge.calibrate`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from judge.config import Calibrated, CalibratedSide, MadeWith, ScoreMap
from judge.errors import CalibrationError
from judge.odds import logit, sigmoid
from judge.types import Guarantee, RuleDecision, Side

FAST = "fast"
"""The first stage: one-token questions, and the relevance scan before them."""


def check_made_with(calibrated: Calibrated, made_with: MadeWith, stages: Sequence[str]) -> None:
    """Refuse thresholds that were fitted on scores of another kind.

    Raises:
        CalibrationError: Names what differs.
    """
    fitted = calibrated.made_with.model_dump()
    other = [name for name, digest in made_with.model_dump().items() if fitted[name] != digest]
    if not other and [each.stage for each in calibrated.stages] != list(stages):
        other = ["stages"]
    if other:
        raise CalibrationError(
            f"the calibrated thresholds were fitted with another {' and another '.join(other)}: they guarantee nothing "
            "here",
            hint="run `judge calibrate` again with these settings, or take `calibrated` out of them",
        )


def settle(calibrated: Calibrated, stage: str, score: float) -> Guarantee | None:
    """What the stage may say of media with this score; None if it must leave them open."""
    fitted = next((each for each in calibrated.stages if each.stage == stage), None)
    if fitted is None:
        return None
    if fitted.unsafe is not None and score >= fitted.unsafe.threshold:
        return _promise(calibrated, stage, "unsafe", fitted.unsafe)
    if fitted.safe is not None and score <= fitted.safe.threshold:
        return _promise(calibrated, stage, "safe", fitted.safe)
    return None


def why_unsettled(calibrated: Calibrated, score: float) -> str:
    """For the verdict that no stage could settle."""
    last = calibrated.stages[-1]
    safe = f"{last.safe.threshold:.3f} are safe" if last.safe else "none are safe"
    unsafe = f"{last.unsafe.threshold:.3f} are unsafe" if last.unsafe else "none are unsafe"
    bounds = f"scores up to {safe}" if last.safe else safe
    bounds += f", from {unsafe}" if last.unsafe else f", {unsafe}"
    return f"the score {score:.3f} settles nothing with the promised certainty ({bounds})"


def promise_in_words(calibrated: Calibrated) -> str:
    """The notice of every verdict under these thresholds."""
    return (
        f"thresholds are fitted on {calibrated.data.n} labelled media ({calibrated.data.name}): of media like those, "
        f"at most {calibrated.max_error:.0%} of what a stage calls unsafe, and of what it calls safe, is so wrongly "
        f"(with confidence {calibrated.confidence:.0%})"
    )


def guarantee_in_words(guarantee: Guarantee) -> str:
    """For people who look at one verdict."""
    beyond = "from" if guarantee.side == "unsafe" else "up to"
    return (
        f"settled at {guarantee.stage}, where scores {beyond} {guarantee.threshold:.3f} are {guarantee.side}: at most "
        f"{guarantee.max_error:.0%} of these are wrong, with confidence {guarantee.confidence:.0%} "
        f"(on {guarantee.n_tested} labelled media of {guarantee.data} at most {guarantee.upper_bound:.1%})"
    )


def mapped(score_map: ScoreMap | None, score: float) -> float | None:
    """The share that belongs to a score; None without a map."""
    if score_map is None:
        return None
    if score_map.method == "platt":
        return sigmoid(score_map.slope * logit(score) + score_map.intercept)
    scores, shares = zip(*score_map.knots, strict=True)
    return float(np.interp(score, scores, shares))


def with_maps(rules: Iterable[RuleDecision], calibrated: Calibrated) -> tuple[RuleDecision, ...]:
    """The same decisions with their calibrated scores, and those of their preconditions."""
    return tuple(_with_maps(rule, calibrated.rule_maps, calibrated.precondition_maps) for rule in rules)


def _with_maps(rule: RuleDecision, rules: Mapping[str, ScoreMap], conditions: Mapping[str, ScoreMap]) -> RuleDecision:
    evidence = tuple(
        each.model_copy(
            update={"calibrated_probability": mapped(conditions.get(each.precondition_id), each.probability)}
        )
        for each in rule.evidence
    )
    score = mapped(rules.get(rule.rule_id), rule.score)
    return rule.model_copy(update={"calibrated_score": score, "evidence": evidence})


def _promise(calibrated: Calibrated, stage: str, side: Side, fitted: CalibratedSide) -> Guarantee:
    return Guarantee(
        side=side, stage=stage, threshold=fitted.threshold, max_error=calibrated.max_error,
        confidence=calibrated.confidence, upper_bound=fitted.upper_bound, n_tested=fitted.n_tested,
        data=calibrated.data.name,
    )  # fmt: skip
