"""Agreement between detectors: against scipy and scikit-learn, and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from judge.bench.agreement import compared, fleiss_kappa, majority, mcnemar
from judge.bench.measures import columns

FLAGS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


@given(FLAGS)
def test_mcnemar_is_the_exact_binomial_test(pairs: list[tuple[bool, bool]]) -> None:
    first, second = (np.array(side) for side in zip(*pairs, strict=True))
    found = mcnemar(first, second)
    differing = found.only_first + found.only_second
    assert differing == int((first != second).sum())
    expected = binomtest(found.only_first, differing).pvalue if differing else 1.0
    assert found.p == pytest.approx(expected)


def test_mcnemar_of_very_many() -> None:
    first = np.arange(30_000) < 15_300
    assert mcnemar(first, ~first).p == pytest.approx(binomtest(15_300, 30_000).pvalue)
    assert mcnemar(np.ones(5000, dtype=bool), np.zeros(5000, dtype=bool)).p == 0.0


def test_kappa_between_two_is_over_what_both_answered() -> None:
    truth = [True, True, False, False, True, False]
    first = columns(truth, [True, True, False, True, None, False], [None] * 6, [""] * 6)
    second = columns(truth, [True, False, False, True, True, True], [None] * 6, [""] * 6)
    found = compared(first, second, rounds=200, seed=0)
    kept = [0, 1, 2, 3, 5]
    expected = cohen_kappa_score(first.flagged[kept], second.flagged[kept])
    assert found["kappa"].value == pytest.approx(expected)
    assert found["agreement"].value == pytest.approx(3 / 5)
    assert found["average_gain"].value == pytest.approx((1 + 2 / 3) / 2 - (2 / 3 + 1 / 3) / 2)
    assert found["f1_gain"].low <= found["f1_gain"].value <= found["f1_gain"].high


def test_fleiss_by_hand() -> None:
    flags = np.array([[1, 1, 1], [0, 0, 0], [1, 1, 0], [0, 0, 0]], dtype=bool)
    share = 5 / 12
    chance = share**2 + (1 - share) ** 2
    assert fleiss_kappa(flags) == pytest.approx(((3 + 1 / 3) / 4 - chance) / (1 - chance))
    assert fleiss_kappa(np.array([[1, 0], [0, 1]], dtype=bool)) == pytest.approx(-1.0)
    assert math.isnan(fleiss_kappa(np.ones((3, 3), dtype=bool)))
    assert math.isnan(fleiss_kappa(np.ones((0, 3), dtype=bool)))


def test_a_majority_needs_more_than_half_of_those_who_answered() -> None:
    truth = [True] * 5
    judges = [
        columns(truth, flags, scores, ["a", "a", "b", "c", "d"])
        for flags, scores in (
            ([True, True, None, True, None], [0.9, 0.8, None, 0.7, None]),
            ([True, False, None, False, None], [0.7, 0.1, None, 0.1, None]),
            ([False, None, None, False, True], [0.2, None, None, 0.1, 0.6]),
        )
    ]
    found = majority(judges)
    assert found.answered.tolist() == [True, False, False, True, True]
    assert found.flagged[found.answered].tolist() == [True, False, True]
    assert found.score == pytest.approx([0.6, 0.45, math.nan, 0.3, 0.6], nan_ok=True)
    assert found.group.tolist() == judges[0].group.tolist()
