"""Measures of a benchmark: against scikit-learn, against `judge.metrics`, by hand, and in intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from judge.bench.measures import Columns, columns, decisions, everything, measure, measure_together, rankings, selection
from judge.metrics import auroc, bootstrap, ece

ROWS = st.lists(st.tuples(st.booleans(), st.integers(0, 10)), min_size=4, max_size=60).filter(
    lambda rows: len({harmful for harmful, _ in rows}) == 2
)


def made(rows: list[tuple[bool, int]]) -> Columns:
    scores = [score / 10 for _, score in rows]
    return columns([h for h, _ in rows], [s >= 0.5 for s in scores], scores, [""] * len(rows))


def values(found: Columns) -> dict[str, float]:
    return {name: float(each[0]) for name, each in everything(found, np.ones((1, len(found)))).items()}


@settings(max_examples=40)
@given(ROWS)
def test_as_scikit_learn(rows: list[tuple[bool, int]]) -> None:
    found = made(rows)
    ours, truth, said, scores = values(found), found.harmful, found.flagged, found.score
    assert ours["tpr"] == pytest.approx(reference.recall_score(truth, said))
    assert ours["tnr"] == pytest.approx(reference.recall_score(~truth, ~said))
    assert ours["average"] == pytest.approx(reference.balanced_accuracy_score(truth, said))
    assert ours["accuracy"] == pytest.approx(reference.accuracy_score(truth, said))
    assert ours["f1"] == pytest.approx(reference.f1_score(truth, said))
    assert ours["f2"] == pytest.approx(reference.fbeta_score(truth, said, beta=2))
    assert ours["kappa"] == pytest.approx(reference.cohen_kappa_score(truth, said))
    assert ours["auroc"] == pytest.approx(reference.roc_auc_score(truth, scores))
    assert ours["ap"] == pytest.approx(reference.average_precision_score(truth, scores))
    assert ours["ece"] == pytest.approx(ece(truth, scores))
    if said.any():
        assert ours["precision"] == pytest.approx(reference.precision_score(truth, said))
    else:
        assert math.isnan(ours["precision"])
    fpr, tpr, _ = reference.roc_curve(truth, scores, drop_intermediate=False)
    assert ours["tpr_at_1_fpr"] == pytest.approx(tpr[fpr <= 0.01].max())


@settings(max_examples=40)
@given(ROWS, st.lists(st.integers(0, 3), min_size=60, max_size=60))
def test_a_weight_is_how_often_a_row_is_there(rows: list[tuple[bool, int]], times: list[int]) -> None:
    found, times = made(rows), times[: len(rows)]
    copied = found.only(np.repeat(np.arange(len(rows)), times))
    weighted = {name: each[0] for name, each in everything(found, np.array([times], dtype=np.float64)).items()}
    if len(copied):
        plain = values(copied)
        assert weighted == pytest.approx(plain, nan_ok=True)


def test_abstentions_are_left_out_or_count_as_wrong() -> None:
    found = columns([True, True, False, False], [True, None, False, None], [0.9, None, 0.1, 0.4], ["", "", "", ""])
    assert values(found) == pytest.approx(
        values(found) | {"tpr": 1.0, "tnr": 1.0, "accuracy": 1.0, "coverage": 0.5, "selective_risk": 0.0, "auroc": 1.0}
    )
    wrong = values(found.as_wrong())
    assert (wrong["tpr"], wrong["tnr"], wrong["accuracy"], wrong["f1"]) == (0.5, 0.5, 0.5, 0.5)
    assert wrong["auroc"] == 0.5  # a harmful sample without a score is ranked last; 0.4 is a score, flagged or not
    assert (wrong["coverage"], wrong["selective_risk"]) == (1.0, 0.5)


def test_what_cannot_be_measured_is_nan_and_warns_nobody() -> None:
    harmless = columns([False, False], [False, True], [0.1, 0.6], ["", ""])
    found = measure(everything, harmless)
    assert math.isnan(found["tpr"].value)
    assert math.isnan(found["auroc"].value)
    assert math.isnan(found["tpr_at_1_fpr"].value)
    assert found["tnr"].value == 0.5
    nothing = measure(everything, columns([], [], [], []))
    assert all(math.isnan(each.value) for each in nothing.values())
    silent = measure(everything, columns([True, False], [None, None], [None, None], ["", ""]))
    assert silent["coverage"].value == 0.0
    assert math.isnan(silent["selective_risk"].value)
    assert math.isnan(silent["auroc"].value)


def test_intervals_are_those_of_the_plain_bootstrap() -> None:
    rng = np.random.default_rng(3)
    truth = rng.random(200) < 0.4
    score = np.clip(truth * 0.3 + rng.random(200) * 0.7, 0, 1)
    found = columns(truth.tolist(), (score >= 0.5).tolist(), score.tolist(), [""] * 200)
    ours = measure(rankings, found, rounds=1000)["auroc"]
    theirs = bootstrap(auroc, truth, score, rounds=1000)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_rows_of_a_group_are_drawn_together() -> None:
    truth, said = [True] * 100, [number % 10 < 5 for number in range(100)]
    alone = measure(decisions, columns(truth, said, [None] * 100, [""] * 100))["tpr"]
    grouped = measure(decisions, columns(truth, said, [None] * 100, [str(n % 10) for n in range(100)]))["tpr"]
    assert alone.value == grouped.value == 0.5
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_the_same_seed_gives_the_same_interval_and_differences_share_their_draws() -> None:
    first = columns([True, False] * 20, [True, False] * 20, [None] * 40, [""] * 40)
    again = measure(selection, first, seed=5)
    assert again == measure(selection, first, seed=5)

    def difference(parts: tuple[Columns, Columns], weights: np.ndarray) -> dict[str, np.ndarray]:
        return {"f1": decisions(parts[0], weights)["f1"] - decisions(parts[1], weights)["f1"]}

    same = measure_together(difference, (first, first))["f1"]  # type: ignore[arg-type]
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)


def test_many_rows_are_drawn_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = columns([True, False, True, False], [True, True, False, False], [0.9, 0.6, 0.3, 0.2], [""] * 4)
    whole = measure(everything, rows)
    monkeypatch.setattr("judge.bench.measures._MOST_CELLS", 30)
    assert measure(everything, rows) == whole
