"""Curves of a detector as points: precision and recall, ROC, reliability. Pure."""

from __future__ import annotations

import numpy as np

from judge import metrics
from judge.bench.measures import Columns
from judge.metrics import Bools, Floats

Point = tuple[float, float]
_MOST_POINTS = 300


def roc_curve(found: Columns) -> tuple[Point, ...]:
    """(false-positive rate, true-positive rate) from the strictest threshold to the loosest; empty for one class."""
    hits, alarms, _ = _along(found)
    if not len(hits) or not hits[-1] or not alarms[-1]:
        return ()
    return ((0.0, 0.0), *_points(alarms / alarms[-1], hits / hits[-1]))


def pr_curve(found: Columns) -> tuple[Point, ...]:
    """(recall, precision) from the strictest threshold to the loosest; empty without harmful rows."""
    hits, alarms, _ = _along(found)
    if not len(hits) or not hits[-1]:
        return ()
    return _points(hits / hits[-1], hits / (hits + alarms))


def reliability(found: Columns) -> tuple[tuple[float, float, int], ...]:
    """(mean score, share of harmful rows, rows) in each tenth of the scores that has rows."""
    kept = ~np.isnan(found.score)
    return metrics.reliability(found.harmful[kept], found.score[kept])


def _along(found: Columns) -> tuple[Floats, Floats, Bools]:
    """Harmful and harmless rows at and above each score that occurs, from the highest."""
    kept = np.flatnonzero(~np.isnan(found.score))
    order = kept[np.argsort(-found.score[kept], kind="stable")]
    score, harmful = found.score[order], found.harmful[order]
    last = np.append(score[1:] != score[:-1], True) if len(score) else np.zeros(0, dtype=np.bool_)
    hits, alarms = np.cumsum(harmful)[last], np.cumsum(~harmful)[last]
    return hits.astype(np.float64), alarms.astype(np.float64), last


def _points(x: Floats, y: Floats) -> tuple[Point, ...]:
    """At most as many as a drawing can show, the ends included."""
    rows = np.unique(np.linspace(0, len(x) - 1, min(len(x), _MOST_POINTS)).round().astype(int))
    return tuple((round(float(x[row]), 4), round(float(y[row]), 4)) for row in rows)
