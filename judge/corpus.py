"""What the readings of each precondition look like over an unlabelled corpus: for the presets `batch` and `mixture`.

Pure, and no labels are used; the corpus should look like what will be judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from judge.config import CorpusStatistics, Mixture
from judge.odds import logit
from judge.types import Evidence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Logits = NDArray[np.float64]

MIN_READINGS = 20
"""Fewer say nothing about a distribution."""
_MIN_STD = 0.25
"""In logits: a narrower bell would turn a hair's breadth into certainty."""
_STEPS = 200


def corpus_statistics(evidence: Iterable[Evidence], *, min_mass: float) -> dict[str, CorpusStatistics]:
    """Statistics by precondition id, from the first-stage evidence of a corpus.

    Preconditions with fewer than 20 usable readings are left out; one that looks the same everywhere has no mixture.
    """
    observed: dict[str, list[float]] = {}
    for item in evidence:
        if item.stage == "token_probability" and item.readings is not None and item.readings.mass >= min_mass:
            observed.setdefault(item.precondition_id, []).append(item.readings.observed)
    return {id: _statistics(found) for id, found in observed.items() if len(found) >= MIN_READINGS}


def fit_mixture(logits: Sequence[float]) -> Mixture | None:
    """Two bells by expectation-maximisation, started at the lowest and the highest tenth; None if they are not two."""
    z = np.sort(np.asarray(logits, dtype=np.float64))
    tenth = max(1, len(z) // 10)
    means = np.array([z[:tenth].mean(), z[-tenth:].mean()])
    stds, shares = np.full(2, max(_MIN_STD, float(z.std()) / 2)), np.full(2, 0.5)
    for _ in range(_STEPS):
        belongs = _belongs(z, means, stds, shares)
        weights = belongs.sum(axis=1)
        if weights.min() < 1.0:
            return None
        means = belongs @ z / weights
        stds = np.sqrt((belongs * (z - means[:, None]) ** 2).sum(axis=1) / weights).clip(min=_MIN_STD)
        shares = weights / len(z)
    if means[1] - means[0] < stds.sum():
        return None
    return Mixture(
        low_mean=float(means[0]),
        low_std=float(stds[0]),
        high_mean=float(means[1]),
        high_std=float(stds[1]),
        high_share=float(shares[1]),
    )


def _statistics(observed: Sequence[float]) -> CorpusStatistics:
    mixture = fit_mixture([logit(p) for p in observed])
    return CorpusStatistics(mean=float(np.mean(observed)), mixture=mixture)


def _belongs(z: Logits, means: Logits, stds: Logits, shares: Logits) -> Logits:
    """`(2, n)`: how much of each reading belongs to each bell."""
    log = np.log(shares)[:, None] - 0.5 * ((z - means[:, None]) / stds[:, None]) ** 2 - np.log(stds)[:, None]
    weights: Logits = np.exp(log - log.max(axis=0))
    shares_of: Logits = weights / weights.sum(axis=0)
    return shares_of
