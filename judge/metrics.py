"""Verdict metrics with bootstrap intervals: precision, recall, F1, AUROC, average precision, ECE; overlap in time.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Measured:
    """A value with its bootstrap 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def precision(harmful: Bools, scores: Floats) -> float:
    """Share of pictures scored 0.5 or more that are harmful; nan if there are none."""
    flagged = scores >= 0.5
    return float(harmful[flagged].mean()) if flagged.any() else float("nan")


def recall(harmful: Bools, scores: Floats) -> float:
    """Share of harmful pictures scored 0.5 or more; nan if there are none."""
    return float((scores[harmful] >= 0.5).mean()) if harmful.any() else float("nan")


def f1(harmful: Bools, scores: Floats) -> float:
    """Harmonic mean of precision and recall; 0 if nothing is flagged."""
    flagged = scores >= 0.5
    hits = float((flagged & harmful).sum())
    total = float(flagged.sum() + harmful.sum())
    return 2 * hits / total if total else float("nan")


def accuracy(harmful: Bools, scores: Floats) -> float:
    """Share of pictures on the right side of 0.5; a score of 0.5 is flagged."""
    return float(((scores >= 0.5) == harmful).mean())


def average_precision(harmful: Bools, scores: Floats) -> float:
    """Mean precision at each harmful picture, from the highest score down, ties taken together; nan without any."""
    if not harmful.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    hits, values = np.cumsum(harmful[order]), scores[order]
    last = np.append(values[1:] != values[:-1], True)
    found, seen = hits[last], np.flatnonzero(last) + 1
    gained = np.diff(found, prepend=0)
    return float((gained * found / seen).sum() / harmful.sum())


def auroc(harmful: Bools, scores: Floats) -> float:
    """Probability that a harmful picture scores above a harmless one, ties counting half; nan for one class."""
    positive, negative = scores[harmful], scores[~harmful]
    if not len(positive) or not len(negative):
        return float("nan")
    above = (positive[:, None] > negative[None, :]).mean() + 0.5 * (positive[:, None] == negative[None, :]).mean()
    return float(above)


def ece(harmful: Bools, scores: Floats, bins: int = 10) -> float:
    """Expected calibration error over equal-width bins."""
    place = np.minimum((scores * bins).astype(int), bins - 1)
    gaps = [
        abs(harmful[place == number].mean() - scores[place == number].mean()) * (place == number).mean()
        for number in range(bins)
        if (place == number).any()
    ]
    return float(sum(gaps))


def reliability(harmful: Bools, scores: Floats, bins: int = 10) -> tuple[tuple[float, float, int], ...]:
    """(mean score, share harmful, rows) of each equal-width bin that has rows, by rising score."""
    place = np.minimum((scores * bins).astype(int), bins - 1)
    return tuple(
        (
            round(float(scores[place == n].mean()), 4),
            round(float(harmful[place == n].mean()), 4),
            int((place == n).sum()),
        )
        for n in range(bins)
        if (place == n).any()
    )


def balanced_accuracy(truth: Bools, said: Bools) -> float:
    """Mean of the shares of right answers among true and among false statements; nan for one class."""
    if truth.all() or not truth.any():
        return float("nan")
    return float((said[truth].mean() + (~said[~truth]).mean()) / 2)


def interval_iou(found: Sequence[tuple[int, int]], true: Sequence[tuple[int, int]]) -> float:
    """Time in both over time in either, of two sets of intervals (start <= end, in ms); those of a set may overlap.

    1 where both are empty; an interval without length counts as none.
    """
    edges = sorted({edge for interval in (*found, *true) for edge in interval})
    both = either = 0
    for start, end in pairwise(edges):
        covered = [any(a <= start and end <= b for a, b in side) for side in (found, true)]
        both += (end - start) * all(covered)
        either += (end - start) * any(covered)
    return both / either if either else 1.0


def bootstrap(
    measure: Callable[..., float],
    *columns: NDArray[np.generic],
    groups: Sequence[str] | None = None,
    rounds: int = 400,
    seed: int = 0,
) -> Measured:
    """`measure(*columns)` and the 2.5 and 97.5 percentiles over resampled rows (nan resamples left out).

    With `groups`, one name per row, whole groups are resampled: rows of a group are not independent.
    """
    count = len(columns[0])
    if not count:
        return Measured(float("nan"), float("nan"), float("nan"))
    value = measure(*columns)
    rng = np.random.default_rng(seed)
    members = _members(groups) if groups is not None else [np.array([row]) for row in range(count)]
    drawn = (rng.integers(0, len(members), len(members)) for _ in range(rounds))
    resampled = (np.concatenate([members[n] for n in numbers]) for numbers in drawn)
    values = [measure(*(column[rows] for column in columns)) for rows in resampled]
    kept = [v for v in values if not np.isnan(v)]
    low, high = np.percentile(kept, [2.5, 97.5]) if kept else (float("nan"), float("nan"))
    return Measured(value, float(low), float(high))


def _members(groups: Sequence[str]) -> list[NDArray[np.intp]]:
    names = np.array(groups)
    return [np.flatnonzero(names == name) for name in dict.fromkeys(groups)]


def share(flags: Sequence[bool]) -> Measured:
    """A share with its interval."""
    return bootstrap(lambda column: float(column.mean()), np.array(flags, dtype=np.float64))


def proportion(hits: int, count: int) -> Measured:
    """`hits / count` with Wilson's 95 % interval, which does not shrink to a point at 0 and 1; nan if `count` is 0."""
    if not count:
        return Measured(float("nan"), float("nan"), float("nan"))
    z, p = 1.959964, hits / count
    centre, scale = p + z * z / (2 * count), 1 + z * z / count
    spread = z * float(np.sqrt(p * (1 - p) / count + z * z / (4 * count * count)))
    return Measured(p, max((centre - spread) / scale, 0.0), min((centre + spread) / scale, 1.0))
