"""Probabilities as log-odds and back."""

from __future__ import annotations

import math

_TINY = 1e-9
"""Probabilities are clipped to [_TINY, 1 - _TINY], so that their log-odds stay finite."""

NEVER = 100.0
"""A margin that no difference of such log-odds reaches: they lie between -21 and 21."""


def logit(probability: float) -> float:
    """ln(p / (1 - p))."""
    p = min(max(probability, _TINY), 1.0 - _TINY)
    return math.log(p) - math.log1p(-p)


def sigmoid(z: float) -> float:
    """The probability whose log-odds are z; exact for large |z|."""
    if z >= 0:
        return 1.0 / (1.0 + math.exp(-z))
    return math.exp(z) / (1.0 + math.exp(z))
