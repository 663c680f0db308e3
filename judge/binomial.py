"""Exact binomial bounds (Clopper and Pearson, 1934): what a count of successes says about the share behind it. Pure."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_HALVINGS = 60
_ROUNDING = 1e-9


def lower_bound(successes: int, trials: int, confidence: float) -> float:
    """The share is at least this, in `confidence` of all samples; 0.0 without a success."""
    if successes == 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _at_least(trials, middle)[successes] <= 1.0 - confidence:
            low = middle
        else:
            high = middle
    return low


def upper_bound(successes: int, trials: int, confidence: float) -> float:
    """The share is at most this, in `confidence` of all samples; 1.0 without a failure."""
    return 1.0 - lower_bound(trials - successes, trials, confidence)


def fewest_successes(trials: int, share: float, confidence: float) -> int | None:
    """How many of the trials must succeed for `lower_bound` to reach `share`; None if not even all of them suffice.

    Args:
        share: Over 0 and under 1.
    """
    enough = np.flatnonzero(_at_least(trials, share) <= 1.0 - confidence + _ROUNDING)
    return int(enough[0]) if len(enough) else None


def fewest_trials(share: float, confidence: float) -> int:
    """How many trials, all of them successes, `lower_bound` needs to reach `share` (over 0 and under 1)."""
    return math.ceil(math.log(1.0 - confidence) / math.log(share) - _ROUNDING)


def largest_share(trials: int, confidence: float) -> float:
    """What `lower_bound` is when all trials succeed; 0.0 without any."""
    return (1.0 - confidence) ** (1.0 / trials) if trials else 0.0


def _at_least(trials: int, share: float) -> NDArray[np.float64]:
    """`(trials + 1,)`: the probability of 0, 1, 2... and more successes."""
    counts = np.arange(trials + 1)
    log_factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, trials + 1)))])
    log_ways = log_factorials[-1] - log_factorials - log_factorials[::-1]
    logs = log_ways + counts * math.log(share) + (trials - counts) * math.log1p(-share)
    return np.cumsum(np.exp(logs)[::-1])[::-1]
