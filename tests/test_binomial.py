"""Against closed forms, published table values, and the definition itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.binomial import fewest_successes, fewest_trials, largest_share, lower_bound, upper_bound


@pytest.mark.parametrize(
    ("successes", "trials", "confidence", "low", "high"),
    [
        (0, 10, 0.975, 0.0, 0.3085),  # the 95 % interval that tables of Clopper and Pearson give
        (1, 10, 0.975, 0.0025, 0.4450),
        (5, 10, 0.975, 0.1871, 0.8129),
        (10, 10, 0.975, 0.6915, 1.0),
        (299, 299, 0.95, 0.99003, 1.0),
    ],
)
def test_bounds_of_the_tables(successes: int, trials: int, confidence: float, low: float, high: float) -> None:
    assert lower_bound(successes, trials, confidence) == pytest.approx(low, abs=5e-5)
    assert upper_bound(successes, trials, confidence) == pytest.approx(high, abs=5e-5)


@given(st.integers(1, 60), st.floats(0.5, 0.999), st.data())
def test_under_the_lower_bound_so_many_successes_are_as_rare_as_said(
    trials: int, confidence: float, data: st.DataObject
) -> None:
    successes = data.draw(st.integers(1, trials))
    share = lower_bound(successes, trials, confidence)
    ways = (math.comb(trials, n) * share**n * (1 - share) ** (trials - n) for n in range(successes, trials + 1))
    assert sum(ways) == pytest.approx(1 - confidence, abs=1e-9)


@given(st.integers(1, 400), st.floats(0.5, 0.995), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_fewest_successes_are_the_fewest(trials: int, share: float, confidence: float) -> None:
    found = fewest_successes(trials, share, confidence)
    if found is None:
        assert lower_bound(trials, trials, confidence) < share
        assert trials < fewest_trials(share, confidence)
        return
    assert lower_bound(found, trials, confidence) >= share - 1e-9
    assert found == 0 or lower_bound(found - 1, trials, confidence) < share
    assert trials >= fewest_trials(share, confidence)


@pytest.mark.parametrize(("share", "confidence", "trials"), [(0.99, 0.95, 299), (0.95, 0.95, 59), (0.5, 0.75, 2)])
def test_the_fewest_trials_are_the_fewest(share: float, confidence: float, trials: int) -> None:
    assert fewest_trials(share, confidence) == trials
    assert fewest_successes(trials, share, confidence) == trials
    assert fewest_successes(trials - 1, share, confidence) is None
    assert largest_share(trials, confidence) >= share > largest_share(trials - 1, confidence)


def test_nothing_tried_says_nothing() -> None:
    assert (lower_bound(0, 0, 0.95), upper_bound(0, 0, 0.95), largest_share(0, 0.95)) == (0.0, 1.0, 0.0)
    assert fewest_successes(0, 0.5, 0.95) is None


def test_a_threshold_fitted_to_the_same_sample_keeps_the_bound() -> None:
    """Of 2000 samples, about 5 % lie on the wrong side: the k-th highest of n keeps less than the bound of k in n."""
    n, k = 120, 110
    bound = lower_bound(k, n, 0.95)
    samples = np.sort(np.random.default_rng(0).random((2000, n)), axis=1)
    kept_of_all = 1.0 - samples[:, n - k]  # uniform: the share above a value is known
    assert (kept_of_all < bound).mean() == pytest.approx(0.05, abs=0.015)
