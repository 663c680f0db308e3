"""Thresholds with a guarantee: by hand, in simulations, and where nothing may be promised."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.binomial import fewest_trials
from judge.calibrate import Design, Scored, StageFit, fit_stages
from judge.errors import ConfigError

ROUNDS = 150
GRID = np.linspace(0, 1, 2001)


def sample(score: float | None, harmful: bool, group: int) -> Scored:
    return Scored((score,), harmful, str(group))


def drawn(rng: np.random.Generator, n: int, p_harmful: Callable[[np.ndarray], np.ndarray]) -> list[Scored]:
    scores = rng.random(n)
    labels = rng.random(n) < p_harmful(scores)
    return [
        sample(float(score), bool(label), place)
        for place, (score, label) in enumerate(zip(scores, labels, strict=True))
    ]


def true_error(fit: StageFit, p_harmful: Callable[[np.ndarray], np.ndarray]) -> dict[str, float]:
    """Of both sides, over uniform scores."""
    p = p_harmful(GRID)
    found = {}
    if fit.unsafe.chosen:
        found["unsafe"] = float((1 - p)[fit.unsafe.chosen.threshold <= GRID].mean())
    if fit.safe.chosen:
        found["safe"] = float(p[fit.safe.chosen.threshold >= GRID].mean())
    return found


def test_a_perfect_judge_settles_both_sides_and_the_sides_stay_apart() -> None:
    samples = [sample(place / 999, place >= 500, place) for place in range(1000)]
    (fit,) = fit_stages(samples, 1, Design(max_error=0.05, confidence=0.9))
    assert fit.unsafe.chosen is not None
    assert fit.safe.chosen is not None
    assert fit.safe.chosen.threshold < fit.unsafe.chosen.threshold
    assert (fit.unsafe.tested[0].n_wrong, fit.safe.tested[0].n_wrong) == (0, 0)
    assert fit.unsafe.chosen.level >= 0.4  # of the half that there is
    assert fit.settles(0.99) == "unsafe"
    assert fit.settles(0.01) == "safe"


def test_a_judge_whose_strictest_threshold_fails_settles_nothing() -> None:
    samples = [sample(place / 999, place % 2 == 0, place) for place in range(1000)]
    (fit,) = fit_stages(samples, 1, Design())
    assert (fit.unsafe.chosen, fit.safe.chosen) == (None, None)
    assert [each.passed for each in fit.unsafe.tested] == [False]
    assert fit.settles(1.0) is None


def test_levels_that_could_not_pass_are_not_tried() -> None:
    needed = fewest_trials(0.9, 0.95)
    samples = [sample(place / 199, place >= 100, place) for place in range(200)]
    (fit,) = fit_stages(samples, 1, Design(max_error=0.1, confidence=0.9))
    assert 0.1 * 140 < needed <= 0.3 * 140
    assert fit.unsafe.tested[0].level in (0.3, 0.4)


def test_too_few_labels_settle_nothing() -> None:
    samples = [sample(place / 19, place >= 10, place) for place in range(20)]
    (fit,) = fit_stages(samples, 1, Design())
    assert (fit.unsafe.tested, fit.safe.tested) == ((), ())


def test_nothing_at_all_settles_nothing() -> None:
    for fit in fit_stages([], 2, Design()):
        assert (fit.unsafe.chosen, fit.safe.chosen, fit.n_open) == (None, None, 0)


def test_equal_scores_are_one_threshold() -> None:
    samples = [sample(1.0 if place % 2 else 0.0, place % 2 == 1, place) for place in range(400)]
    (fit,) = fit_stages(samples, 1, Design())
    assert [(each.threshold, each.passed) for each in fit.unsafe.tested] == [(1.0, True), (0.0, False)]
    assert [(each.threshold, each.passed) for each in fit.safe.tested] == [(0.0, True), (1.0, False)]


def test_media_without_a_score_to_rely_on_count_for_nothing() -> None:
    samples = [sample(place / 999, place >= 500, place) for place in range(1000)]
    broken = [sample(None, True, 1000 + place) for place in range(1000)]
    (fit,) = fit_stages([*samples, *broken], 1, Design())
    assert fit.n_open < 800  # of 1400 that are tested
    assert fit.safe.chosen is not None


def test_a_group_counts_once() -> None:
    """Copies of the same 30 pictures are no evidence of more."""
    copies = [sample(float(place % 30 >= 15), place % 30 >= 15, place % 30) for place in range(3000)]
    (fit,) = fit_stages(copies, 1, Design())
    assert fit.n_open == 21
    assert fit.settles(1.0) is None


def steep(scores: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-12 * (scores - 0.5)))


def barely_too_bad(scores: np.ndarray) -> np.ndarray:
    """Errors of 11 % on both sides, wherever the threshold lies: everything that is settled breaks the promise."""
    return np.where(scores >= 0.5, 0.89, 0.11)


def constant(scores: np.ndarray) -> np.ndarray:
    return np.full_like(scores, 0.5)


@pytest.mark.parametrize("p_harmful", [steep, barely_too_bad, constant], ids=["good", "barely too bad", "blind"])
@pytest.mark.parametrize("n", [300, 800])
def test_the_promise_is_kept_as_often_as_promised(p_harmful: Callable[[np.ndarray], np.ndarray], n: int) -> None:
    design = Design(max_error=0.1, confidence=0.8)
    rng = np.random.default_rng(7)
    broken = 0
    for number in range(ROUNDS):
        (fit,) = fit_stages(drawn(rng, n, p_harmful), 1, Design(max_error=0.1, confidence=0.8, seed=number))
        broken += any(error > design.max_error for error in true_error(fit, p_harmful).values())
    assert broken / ROUNDS <= 0.2 + 0.1  # three standard errors of a share of 150


def test_two_stages_keep_it_together_and_the_second_sees_what_the_first_left() -> None:
    """The first stage is half blind; the second sees the label through noise, for what is left."""
    rng = np.random.default_rng(3)
    broken = settled_by_second = 0
    for number in range(50):
        truth = rng.random(12_000) < 0.5
        one = np.clip(truth * 0.4 + rng.normal(0.3, 0.25, truth.size), 0, 1)
        two = np.clip(truth * 0.8 + rng.normal(0.1, 0.15, truth.size), 0, 1)
        rows = zip(one.tolist(), two.tolist(), truth.tolist(), strict=True)
        scored = [Scored((a, b), label, str(place)) for place, (a, b, label) in enumerate(rows)]
        fits = fit_stages(scored[:1500], 2, Design(max_error=0.1, confidence=0.8, seed=number))
        wrong = _errors(fits, one[1500:], two[1500:], truth[1500:])
        broken += any(error > 0.1 for error in wrong.values())
        settled_by_second += fits[1].unsafe.chosen is not None
    assert broken / 50 <= 0.2 + 0.17  # three standard errors of a share of 50
    assert settled_by_second > 25


def _errors(fits: Sequence[StageFit], one: np.ndarray, two: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    found: dict[str, float] = {}
    open_ = np.ones_like(truth)
    for number, (fit, scores) in enumerate(zip(fits, (one, two), strict=True)):
        for side, chosen in (("unsafe", fit.unsafe.chosen), ("safe", fit.safe.chosen)):
            if chosen is None:
                continue
            beyond = open_ & (scores >= chosen.threshold if side == "unsafe" else scores <= chosen.threshold)
            if beyond.any():
                found[f"{number} {side}"] = float((truth[beyond] != (side == "unsafe")).mean())
        settled = np.array([fit.settles(float(score)) is not None for score in scores])
        open_ &= ~settled
    return found


@given(
    st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=120),
    st.integers(1, 3),
    st.floats(0.05, 0.5),
)
def test_thresholds_in_use_have_passed_and_never_cross(
    rows: list[tuple[float, bool]], n_stages: int, max_error: float
) -> None:
    samples = [Scored((score,) * n_stages, harmful, str(place)) for place, (score, harmful) in enumerate(rows)]
    for fit in fit_stages(samples, n_stages, Design(max_error=max_error, confidence=0.6)):
        for side in (fit.unsafe, fit.safe):
            assert side.chosen is None or (side.chosen.passed and side.chosen.upper_bound <= max_error)
            assert (
                [each.passed for each in side.tested[:-1]] == [True] * (len(side.tested) - 1) if side.tested else True
            )
        if fit.unsafe.chosen and fit.safe.chosen:
            assert fit.safe.chosen.threshold < fit.unsafe.chosen.threshold


@pytest.mark.parametrize(
    "wrong",
    [{"max_error": 0.0}, {"max_error": 1.0}, {"confidence": 1.0}, {"placing_share": 0.0}, {"levels": ()},
     {"levels": (0.5, 0.1)}, {"levels": (0.0, 0.5)}],
)  # fmt: skip
def test_a_design_that_promises_nothing_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        Design(**wrong)  # type: ignore[arg-type]
