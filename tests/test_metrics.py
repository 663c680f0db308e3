"""Against scikit-learn, and by hand where it has no such thing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from judge.metrics import (
    Bools,
    Floats,
    accuracy,
    auroc,
    average_precision,
    balanced_accuracy,
    bootstrap,
    ece,
    f1,
    interval_iou,
    precision,
    recall,
    share,
)

ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=2, max_size=40)


def columns(rows: list[tuple[bool, int]]) -> tuple[Bools, Floats]:
    return np.array([truth for truth, _ in rows]), np.array([n / 10 for _, n in rows])


@given(ROWS)
@settings(deadline=None)
def test_the_same_as_scikit_learn(rows: list[tuple[bool, int]]) -> None:
    truth, scores = columns(rows)
    said = scores >= 0.5
    assert accuracy(truth, scores) == pytest.approx(reference.accuracy_score(truth, said))
    if truth.any():
        assert recall(truth, scores) == pytest.approx(reference.recall_score(truth, said))
        assert average_precision(truth, scores) == pytest.approx(reference.average_precision_score(truth, scores))
    if said.any():
        assert precision(truth, scores) == pytest.approx(reference.precision_score(truth, said, zero_division=0))
    if truth.any() or said.any():
        assert f1(truth, scores) == pytest.approx(reference.f1_score(truth, said, zero_division=0))
    if truth.any() and not truth.all():
        assert auroc(truth, scores) == pytest.approx(reference.roc_auc_score(truth, scores))
        assert balanced_accuracy(truth, said) == pytest.approx(reference.balanced_accuracy_score(truth, said))


def test_what_has_no_value_is_nan() -> None:
    nothing, low = np.array([False, False]), np.array([0.1, 0.2])
    assert all(math.isnan(m(nothing, low)) for m in (precision, recall, f1, auroc, average_precision))
    assert math.isnan(balanced_accuracy(nothing, nothing))


def test_calibration_error_by_hand() -> None:
    """Bin 0.1: mean 0.15, none harmful; bin 0.9: mean 0.95, half of them harmful."""
    truth, scores = np.array([False, False, True, False]), np.array([0.1, 0.2 - 1e-9, 0.95, 0.95])
    assert ece(truth, scores) == pytest.approx(0.5 * 0.15 + 0.5 * 0.45, abs=1e-6)


def test_the_interval_holds_the_value_and_narrows_with_more_rows() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for count in (50, 5000):
        truth = rng.random(count) < 0.5
        scores = np.where(truth, 0.7, 0.3) + rng.normal(0, 0.3, count)
        found = bootstrap(accuracy, truth, scores)
        assert found.low <= found.value <= found.high
        widths.append(found.high - found.low)
    assert widths[1] < 0.3 * widths[0]


def test_groups_are_resampled_whole() -> None:
    """A hundred copies of two rows are two rows."""
    truth, scores = np.tile([True, False], 100), np.tile([0.9, 0.9], 100)
    alone = bootstrap(accuracy, truth, scores)
    grouped = bootstrap(accuracy, truth, scores, groups=["a", "b"] * 100)
    assert alone.value == grouped.value == 0.5
    assert (grouped.low, grouped.high) == (0.0, 1.0)
    assert alone.high - alone.low < 0.2


def test_nothing_has_no_share() -> None:
    assert math.isnan(share([]).value)
    assert share([True, False, True, True]).value == 0.75


@pytest.mark.parametrize(
    ("found", "true", "expected"),
    [
        ([], [], 1.0),
        ([(0, 10)], [], 0.0),
        ([], [(0, 10)], 0.0),
        ([(0, 10)], [(0, 10)], 1.0),
        ([(0, 10)], [(5, 20)], 0.25),
        ([(0, 10), (20, 30)], [(5, 25)], 10 / 30),
        ([(0, 6), (4, 10)], [(0, 10)], 1.0),
        ([(0, 10)], [(10, 20)], 0.0),
        ([(7, 7)], [], 1.0),
        ([(20, 30), (0, 10)], [(0, 10)], 0.5),
    ],
)
def test_overlap_in_time(found: list[tuple[int, int]], true: list[tuple[int, int]], expected: float) -> None:
    assert interval_iou(found, true) == pytest.approx(expected)


INTERVALS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 9)).map(lambda each: (each[0], sum(each))), max_size=5
)


@given(INTERVALS, INTERVALS)
@settings(deadline=None)
def test_overlap_in_time_is_that_of_milliseconds_counted(
    found: list[tuple[int, int]], true: list[tuple[int, int]]
) -> None:
    one, other = ({ms for start, end in side for ms in range(start, end)} for side in (found, true))
    expected = len(one & other) / len(one | other) if one | other else 1.0
    assert interval_iou(found, true) == pytest.approx(expected)
