"""What the frames of an animation say together, and which media detectors of pictures take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from judge.bench.detectors.base import Prediction
from judge.bench.detectors.single_pictures import failed, highest, not_a_picture, pictures_of
from judge.errors import ConfigError, MediaError
from judge.types import Frame, Media, Usage
from tests.bench.detectors.media import clips, demo, load
from tests.contracts.detectors import words

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


def test_pictures_and_animations_are_taken_and_nothing_else() -> None:
    (picture,) = demo("harmless-1")
    assert not_a_picture(picture) == ""
    assert not_a_picture(replace(picture, kind="video", duration_s=1.0)) == ""
    assert "text" in not_a_picture(words())
    video = load(clips()[0])
    assert video.video is not None
    try:
        assert "a video" in not_a_picture(video)
    finally:
        video.video.close()


def test_frames_are_spread_evenly() -> None:
    frames = tuple(Frame(index, index / 10, np.zeros((2, 2, 3), np.uint8)) for index in range(9))
    media = Media("a" * 64, "video", frames, 0.9, "a.gif")
    assert [each.index for each in pictures_of(media, 3)] == [0, 4, 8]
    assert len(pictures_of(media, 100)) == 9


@pytest.mark.parametrize(
    "image",
    [np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3))],
)
def test_what_is_no_picture_is_told(image: np.ndarray) -> None:
    with pytest.raises(MediaError, match="'odd\nname', frame 0"):
        pictures_of(Media("a" * 64, "image", (Frame(0, 0.0, image),), 0.0, "odd\nname"), 8)
    with pytest.raises(MediaError, match="has no picture"):
        pictures_of(Media("a" * 64, "image", (), 0.0, "none"), 8)


def test_a_failure_is_one_short_line() -> None:
    assert failed(ConfigError("a\nb", hint="c")).reason == "a b (c)"
    assert failed(ValueError("x" * 1000)).reason.startswith("ValueError: xxx")
    assert len(failed(ValueError("x" * 1000)).reason) == 300
