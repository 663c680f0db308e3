"""Measures by frame: by hand, against scikit-learn frame by frame, and what resampling whole videos must not change."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from judge.bench import frame_measures
from judge.bench.detectors.base import Moment
from judge.bench.frame_measures import FrameTruth, ScoredVideo, frame_truth, measure_frames, score_video, worst_video
from judge.bench.video_frames import VideoFrames
from judge.sources.sample import Intervals, NoMedia, Sample, Span

TEN = VideoFrames(count=10, rate_hz=10.0)
"""Frames at 0, 100, ..., 900 ms."""


def sample(harmful: bool, intervals: Intervals | None, group: str = "") -> Sample:
    return Sample(
        id="v", locator=NoMedia(), modality="video", harmful=harmful, intervals=intervals, group=group
    )  # fmt: skip


def ms(*spans: Span, unclear: tuple[Span, ...] = ()) -> Intervals:
    return Intervals(unit="ms", harmful=spans, unclear=unclear)


def frames(*spans: Span, unclear: tuple[Span, ...] = ()) -> Intervals:
    return Intervals(unit="frames", harmful=spans, unclear=unclear)


def truth(intervals: Intervals, video: VideoFrames = TEN, *, harmful: bool = True) -> FrameTruth:
    found = frame_truth(sample(harmful, intervals), video)
    assert isinstance(found, FrameTruth), found
    return found


def shown(found: FrameTruth) -> str:
    """x is harmful, ? is left open."""
    return "".join(
        "x" if bad else "." if counts else "?" for bad, counts in zip(found.harmful, found.counts, strict=True)
    )


def video(
    intervals: Intervals, moments: list[Moment], frames: VideoFrames = TEN, *, harmful: bool = True
) -> ScoredVideo:
    return score_video("", truth(intervals, frames, harmful=harmful), frames, moments)


# --- which frames are harmful ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("intervals", "expected"),
    [
        (ms((250, 650)), "...xxxx..."),
        (ms((300, 600)), "...xxx...."),  # a frame belongs to what begins with it, not to what ends with it
        (ms((0, 1)), "x........."),
        (ms((850, 1000)), ".........x"),
        (ms((0, 100), (50, 300), (900, 901)), "xxx......x"),
        (ms((250, 650), unclear=((0, 150), (550, 850))), "??.xxxx??."),
        (frames((3, 7)), "...xxxx..."),
        (frames((0, 1), (9, 10)), "x........x"),
        (frames((2, 3), unclear=((1, 5),)), ".?x??....."),
    ],
)
def test_intervals_as_frames(intervals: Intervals, expected: str) -> None:
    assert shown(truth(intervals)) == expected


def test_frames_that_are_not_evenly_spread() -> None:
    uneven = VideoFrames(count=4, rate_hz=2.0, times_ms=(0, 100, 200, 1500))
    assert shown(truth(ms((50, 250)), uneven)) == ".xx."
    assert shown(truth(frames((3, 4)), uneven)) == "...x"
    assert list(video(ms((50, 250)), [(0.0, 0.1), (1.5, 0.9)], uneven).harmless) == [1, 1]


def test_a_harmless_video_is_harmless_in_every_frame() -> None:
    assert shown(truth(ms(), harmful=False)) == "." * 10
    assert shown(truth(ms(unclear=((0, 150),)), harmful=False)) == "??........"
    found = frame_truth(sample(False, None), TEN)
    assert isinstance(found, FrameTruth)
    assert not found.harmful.any()


@pytest.mark.parametrize(
    ("harmful", "intervals", "reason"),
    [
        (True, None, "it is harmful, and nothing says when"),
        (True, ms(), "it is harmful, and nothing says when"),
        (True, ms(unclear=((0, 100),)), "it is harmful, and nothing says when"),
        (False, ms((0, 100)), "it is harmless, and has harmful moments"),
        (True, Intervals(unit="frames", problem="when: 3 numbers"), "cannot be read: when: 3 numbers"),
        (False, Intervals(unit="frames", problem="when: 3 numbers"), "cannot be read: when: 3 numbers"),
        (True, ms((1000, 1100)), "begins after its end"),
        (True, frames((10, 11)), "begins after its end"),
        (True, frames((1, 2), (11, 12)), "begins after its end"),
        (True, ms((500, 2001)), "ends more than a second after its end"),
        (True, frames((5, 21)), "ends more than a second after its end"),
        (True, frames((0, 10**12 - 1)), "ends more than a second after its end"),
        (False, ms(unclear=((500, 2001),)), "ends more than a second after its end"),
        (True, ms((110, 190)), "no frame of it lies in its harmful moments"),
    ],
)
def test_what_is_not_known_is_told(harmful: bool, intervals: Intervals | None, reason: str) -> None:
    found = frame_truth(sample(harmful, intervals), TEN)
    assert isinstance(found, str)
    assert reason in found


def test_a_moment_that_ends_a_little_later_ends_with_the_video() -> None:
    for intervals in (ms((800, 2000)), frames((8, 20))):
        found = truth(intervals)
        assert (shown(found), found.cut) == ("........xx", True)
    assert not truth(ms((800, 1000))).cut


# --- what a frame's score is ----------------------------------------------------------------------------------------


def test_a_frame_has_the_score_of_the_nearest_moment_the_later_of_two() -> None:
    found = video(ms((250, 650)), [(0.0, 0.1), (0.4, 0.9), (0.8, 0.3)])
    assert list(found.scores) == [0.1, 0.9, 0.3]
    assert list(found.harmful) == [0, 3, 1]  # frames 0, 1 | 2 to 5 | 6 to 9
    assert list(found.harmless) == [2, 1, 3]


def test_one_moment_stands_for_all_and_a_late_one_for_none() -> None:
    assert list(video(ms((0, 200)), [(0.7, 0.4)]).harmful) == [2]
    found = video(ms((0, 200)), [(0.7, 0.4), (1e6, 1.0)])
    assert (list(found.harmful), list(found.harmless)) == ([2, 0], [8, 0])


# --- measures -------------------------------------------------------------------------------------------------------


def test_by_hand() -> None:
    """0.9: 3 harmful, 4 harmless frames; 0.3: 1 and 5; 0.1: 0 and 2."""
    first = video(ms((250, 650)), [(0.0, 0.1), (0.4, 0.9), (0.8, 0.3)])
    other = video(ms(), [(0.0, 0.3), (0.4, 0.9)], VideoFrames(count=5, rate_hz=10.0), harmful=False)
    found = measure_frames([first, other], rounds=50)
    assert found["frame_ap"].value == pytest.approx(3 / 4 * 3 / 7 + 1 / 4 * 4 / 13)
    assert found["frame_auroc"].value == pytest.approx((3 * (7 + 4 / 2) + (2 + 5 / 2)) / 44)


def test_frames_that_are_left_open_count_nowhere() -> None:
    found = video(ms((250, 650), unclear=((0, 250),)), [(0.0, 0.9), (0.4, 0.8)])
    assert (found.n_frames, found.n_harmful) == (7, 4)
    assert measure_frames([found], rounds=20)["frame_ap"].value == pytest.approx(4 / 7)


def test_without_scores_every_frame_has_the_worst() -> None:
    silent = worst_video("", truth(ms((250, 650), unclear=((0, 150),))))
    assert (silent.n_frames, silent.n_harmful) == (8, 4)
    perfect = video(ms((250, 650)), [(0.2, 0.0), (0.3, 1.0), (0.6, 1.0), (0.7, 0.0)])
    assert measure_frames([perfect], rounds=20)["frame_ap"].value == 1.0
    # 1.0: 4 harmful, 4 harmless; 0.0: 4 harmful, 6 harmless
    assert measure_frames([perfect, silent], rounds=20)["frame_ap"].value == pytest.approx(0.5 * 4 / 8 + 0.5 * 8 / 18)


def test_nothing_and_one_class_are_no_numbers() -> None:
    for videos in ([], [video(ms(), [(0.0, 0.5)], harmful=False)]):
        found = measure_frames(videos, rounds=20)
        assert all(math.isnan(each.value) and math.isnan(each.low) for each in found.values())
    all_harmful = measure_frames([video(ms((0, 1000)), [(0.0, 0.5)])], rounds=20)
    assert all_harmful["frame_ap"].value == 1.0
    assert math.isnan(all_harmful["frame_auroc"].value)


SETS = st.lists(
    st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=12), min_size=1, max_size=8
).filter(lambda videos: len({harmful for rows in videos for harmful, _ in rows}) == 2)


@settings(max_examples=60, deadline=None)
@given(SETS)
def test_as_scikit_learn_frame_by_frame(videos: list[list[tuple[bool, int]]]) -> None:
    """Every frame is a moment of its own."""
    made = []
    for rows in videos:
        harmful = np.array([bad for bad, _ in rows])
        moments = [(place / 10, score / 6) for place, (_, score) in enumerate(rows)]
        found = FrameTruth(harmful, np.ones(len(rows), dtype=np.bool_))
        made.append(score_video("", found, VideoFrames(count=len(rows), rate_hz=10.0), moments))
    flat = [row for rows in videos for row in rows]
    said, scores = [bad for bad, _ in flat], [score / 6 for _, score in flat]
    ours = measure_frames(made, rounds=20)
    assert ours["frame_ap"].value == pytest.approx(reference.average_precision_score(said, scores))
    assert ours["frame_auroc"].value == pytest.approx(reference.roc_auc_score(said, scores))


def many(count: int, group: str = "") -> list[ScoredVideo]:
    rng = np.random.default_rng(5)
    made = []
    for place in range(count):
        harmful = (rng.random(60) < 0.3) & (place % 2 == 0)
        scores = np.clip(rng.normal(0.3, 0.15, 60) + 0.3 * harmful + rng.normal(0, 0.1), 0, 1)
        made.append(ScoredVideo(group and f"{group}{place // 5}", scores, harmful * 1.0, ~harmful * 1.0))
    return made


def test_intervals_resample_whole_videos() -> None:
    """Against one resample after the other, drawn the same way and measured frame by frame."""
    videos, rng = many(12), np.random.default_rng(3)
    drawn = []
    for _ in range(60):
        taken = [videos[place] for place in rng.integers(0, 12, 12)]
        said, scores = (np.concatenate([getattr(each, name) for each in taken]) for name in ("harmful", "scores"))
        drawn.append(reference.average_precision_score(said, scores))
    found = measure_frames(videos, rounds=60, seed=3)["frame_ap"]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])))
    assert found.low < found.value < found.high


def test_many_scores_are_merged_in_intervals_and_not_in_values(monkeypatch: pytest.MonkeyPatch) -> None:
    videos = many(40)
    exact = measure_frames(videos, rounds=100)
    monkeypatch.setattr(frame_measures, "_MOST_LEVELS", 200)  # of 2400
    monkeypatch.setattr(frame_measures, "_VIDEOS_AT_ONCE", 7)
    monkeypatch.setattr(frame_measures, "_ROUNDS_AT_ONCE", 30)
    merged = measure_frames(videos, rounds=100)
    for name, each in exact.items():
        assert merged[name].value == each.value
        assert (merged[name].low, merged[name].high) == pytest.approx((each.low, each.high), abs=0.01)


def test_groups_are_drawn_together() -> None:
    alone, together = (measure_frames(many(40, group), rounds=200)["frame_ap"] for group in ("", "film"))
    assert alone.value == together.value
    assert (alone.low, alone.high) != (together.low, together.high)
    one_group = [ScoredVideo("all", each.scores, each.harmful, each.harmless) for each in many(40)]
    found = measure_frames(one_group, rounds=20)["frame_ap"]
    assert found.low == found.high == pytest.approx(found.value)
