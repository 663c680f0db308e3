"""Maps from scores to the share of labelled media that are harmful, fitted. Pure; `judge.guarantee` applies them.

Sources: Platt (1999), with his smoothed labels; isotonic regression by pooling adjacent violators.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from judge.config import ScoreMap
from judge.metrics import Bools, Floats
from judge.odds import logit

FEWEST_LABELS = 20
"""Of each class, for a map."""
FEWEST_FOR_ISOTONIC = 1000
"""Fewer labels get a Platt map. Source: Niculescu-Mizil and Caruana (ICML 2005)."""
_NEWTON_STEPS = 50


def fit_map(scores: Floats, harmful: Bools) -> ScoreMap | None:
    """The map of these scores; None with too few labels of a class."""
    if min(int(harmful.sum()), int((~harmful).sum())) < FEWEST_LABELS:
        return None
    if len(scores) >= FEWEST_FOR_ISOTONIC:
        return ScoreMap(method="isotonic", n=len(scores), knots=isotonic_knots(scores, harmful))
    slope, intercept = platt(scores, harmful)
    return ScoreMap(method="platt", n=len(scores), slope=slope, intercept=intercept)


def platt(scores: Floats, harmful: Bools) -> tuple[float, float]:
    """Slope and intercept over the scores' logits, most likely for smoothed labels; the slope is never below 0."""
    n_yes, n_no = int(harmful.sum()), int((~harmful).sum())
    target = np.where(harmful, (n_yes + 1) / (n_yes + 2), 1 / (n_no + 2))
    z = np.array([logit(score) for score in scores])
    found = _logistic(np.column_stack([z, np.ones_like(z)]), target)
    if found[0] >= 0:
        return float(found[0]), float(found[1])
    return 0.0, logit(float(target.mean()))


def isotonic_knots(scores: Floats, harmful: Bools) -> tuple[tuple[float, float], ...]:
    """The rising step function with the least squared error, as pairs of score and share: both ends of every step."""
    order = np.argsort(scores, kind="stable")
    steps: list[tuple[float, float, int, float]] = []  # first and last score, count, mean
    for value, truth in zip(scores[order], harmful[order], strict=True):
        step = (float(value), float(value), 1, float(truth))
        while steps and (steps[-1][3] >= step[3] or steps[-1][1] == step[0]):
            first, _, count, mean = steps.pop()
            total = count + step[2]
            step = (first, step[1], total, (mean * count + step[3] * step[2]) / total)
        steps.append(step)
    return tuple((edge, mean) for first, last, _, mean in steps for edge in dict.fromkeys((first, last)))


def _logistic(features: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Most likely weights, by Newton's method with halved steps; a trace of ridge keeps separable data finite."""
    ridge = 1e-6 * np.eye(features.shape[1])

    def loss(weights: NDArray[np.float64]) -> float:
        z = features @ weights
        return float(np.logaddexp(0, z).sum() - target @ z + weights @ ridge @ weights / 2)

    weights = np.zeros(features.shape[1])
    for _ in range(_NEWTON_STEPS):
        p = 1 / (1 + np.exp(-np.clip(features @ weights, -500, 500)))
        gradient = features.T @ (p - target) + ridge @ weights
        hessian = (features * (p * (1 - p))[:, None]).T @ features + ridge
        step = np.linalg.solve(hessian, gradient)
        size = 1.0
        while size > 1e-6 and loss(weights - size * step) > loss(weights):
            size /= 2
        weights = weights - size * step
        if float(np.abs(size * step).max()) < 1e-9:
            break
    return weights
