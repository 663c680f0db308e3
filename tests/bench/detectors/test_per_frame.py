"""What the frames of an animation say together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from judge.bench.detectors.base import Prediction
from judge.bench.detectors.per_frame import failed, highest
from judge.errors import ConfigError
from judge.types import Usage

NO = Prediction(0.2, False, {"sexual": 0.2}, usage=Usage(questions=1), model_s=1.0, cost_usd=0.5)
YES = Prediction(0.6, True, {"sexual": 0.6, "hate": 0.1}, usage=Usage(questions=2), model_s=2.0)
DOUBT = Prediction(0.4, None, {"sexual": 0.4}, reason="unsure")
BROKEN = Prediction(None, None, reason="broke", failed=True)


def test_one_frame_is_what_it_is() -> None:
    for each in (NO, YES, DOUBT, BROKEN):
        assert highest([each]) == each


def test_the_highest_counts_and_the_costs_of_all() -> None:
    assert highest([NO, YES]) == Prediction(
        0.6, True, {"sexual": 0.6, "hate": 0.1}, usage=Usage(questions=3), model_s=3.0, cost_usd=0.5
    )


def test_a_flagged_frame_is_enough() -> None:
    assert highest([BROKEN, YES, DOUBT]).flagged is True
    assert highest([BROKEN, YES, DOUBT]).score == 0.6
    low = replace(YES, score=0.1)
    assert (highest([low, NO]).flagged, highest([low, NO]).score) == (True, 0.2)


@pytest.mark.parametrize("order", [1, -1])
def test_a_doubt_or_a_failure_is_not_outvoted(order: int) -> None:
    higher = replace(NO, score=0.45)
    doubtful = highest([DOUBT, higher][::order])
    assert (doubtful.score, doubtful.flagged, doubtful.reason, doubtful.failed) == (0.45, None, "unsure", False)
    broken = highest([BROKEN, NO][::order])
    assert (broken.score, broken.flagged, broken.reason, broken.failed) == (None, None, "broke", True)
    assert dict(broken.category_scores) == {}


def test_a_failure_is_one_short_line() -> None:
    assert failed(ConfigError("a\nb", hint="c")).reason == "a b (c)"
    assert failed(ValueError("x" * 1000)).reason.startswith("ValueError: xxx")
    assert len(failed(ValueError("x" * 1000)).reason) == 300
