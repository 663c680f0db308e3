"""When the frames of a video are shown: even, uneven, a single one; and lines that are none."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from pydantic import ValidationError

from judge.bench.video_frames import VideoFrames, nearest
from judge.types import VideoInfo


def of(times_s: Sequence[float], duration_s: float | None = None) -> VideoFrames:
    duration_s = times_s[-1] if duration_s is None else duration_s
    return VideoFrames.of(VideoInfo(tuple(times_s), (0,), duration_s, 10, 10))


def test_even_frames_are_a_count_and_a_rate() -> None:
    found = of([number / 24 for number in range(5000)])
    assert (found.count, found.times_ms) == (5000, ())
    assert found.rate_hz == pytest.approx(24)
    assert found.shown_ms()[24] == pytest.approx(1000)
    assert found.end_ms == pytest.approx(5000 / 24 * 1000)
    shaking = of([number / 30 + (0.01 if number % 2 else 0.0) for number in range(100)])
    assert shaking.times_ms == ()


def test_uneven_frames_keep_their_times() -> None:
    found = of([0.0, 0.1, 0.2, 3.0])
    assert found.times_ms == (0, 100, 200, 3000)
    assert list(found.shown_ms()) == [0, 100, 200, 3000]
    assert found.rate_hz == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("times_s", "duration_s", "rate_hz"), [([0.0], 2.0, 0.5), ([0.0], 0.0, 1.0), ([0.0, 0.0], 0.0, 1.0)]
)
def test_a_single_moment(times_s: list[float], duration_s: float, rate_hz: float) -> None:
    found = of(times_s, duration_s)
    assert (found.count, found.rate_hz) == (len(times_s), rate_hz)
    assert list(nearest([0.0], found.shown_ms())) == [0] * len(times_s)


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 0, "rate_hz": 1.0},
        {"count": 10**12, "rate_hz": 1.0},
        {"count": 2, "rate_hz": 0.0},
        {"count": 2, "rate_hz": -1.0},
        {"count": 2, "rate_hz": "NaN"},
        {"count": 2, "rate_hz": 1.0, "times_ms": [0]},
        {"count": 2, "rate_hz": 1.0, "times_ms": [5, 4]},
        {"count": 2, "rate_hz": 1.0, "times_ms": [-5, 4]},
    ],
)
def test_lines_that_are_none(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        VideoFrames.model_validate_json(json.dumps(wrong))


def test_the_nearest_moment_the_later_of_two_as_near() -> None:
    assert list(nearest([0, 200, 1000], VideoFrames(count=8, rate_hz=10).shown_ms())) == [0, 1, 1, 1, 1, 1, 2, 2]
