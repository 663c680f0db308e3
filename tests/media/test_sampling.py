"""Tables worked by hand, and a simulated video with a judge who never errs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge.config import SamplingName, SamplingSettings
from judge.media.likeness import Shot, same_as, shots, stretches
from judge.media.sampling import (
    MOST_THUMBNAILS,
    at_rate,
    closer_frames,
    every,
    first_frames,
    keyframes,
    thin,
    uniform,
    wants_thumbnails,
)
from judge.types import Thumbnails, VideoInfo

STRATEGIES: tuple[SamplingName, ...] = ("adaptive", "uniform", "fps", "every", "keyframes", "shots")
Interval = tuple[float, float]
_steady = settings(max_examples=60, derandomize=True, deadline=None, database=None)


def sampling(**fields: object) -> SamplingSettings:
    """With gaps of 2 s in the first pass, which the cases below are worked out for."""
    return SamplingSettings.model_validate({"max_gap_s": 2.0, **fields})


def video(timestamps_s: Sequence[float], keys: Sequence[int] = (0,), duration_s: float | None = None) -> VideoInfo:
    if not timestamps_s:
        return VideoInfo((), (), 0.0, 640, 360)
    end = timestamps_s[-1]
    return VideoInfo(tuple(timestamps_s), tuple(keys), end if duration_s is None else duration_s, 640, 360)


def steady(n: int, rate_hz: float, keys: Sequence[int] = (0,)) -> VideoInfo:
    return video([index / rate_hz for index in range(n)], keys)


def pictures(levels: Mapping[int, int]) -> Thumbnails:
    """Plain gray thumbnails: brightness 0..255 by frame."""
    return Thumbnails(tuple(levels), np.array([np.full((2, 4, 3), level) for level in levels.values()], dtype=np.uint8))


def patches(levels: Mapping[int, int]) -> Thumbnails:
    """Gray thumbnails with one bright part of the 6 x 8: its brightness 0..255 by frame."""
    images = np.full((len(levels), 12, 16, 3), 100, dtype=np.uint8)
    images[:, 4:6, 6:8] = np.array(list(levels.values()), dtype=np.uint8)[:, None, None, None]
    return Thumbnails(tuple(levels), images)


NOTHING = Thumbnails((), np.zeros((0, 2, 4, 3), dtype=np.uint8))
SLIDES = video([0.0, 0.1, 0.2, 0.3, 0.4, 10.0, 20.0], keys=[0, 4, 6])
"""Half a second of motion, then a picture that stands, and another."""


@st.composite
def videos(draw: st.DrawFn) -> VideoInfo:
    """Of any rate, also varying, some with frames at the same time, some with no keyframe named."""
    steps_ms = draw(st.lists(st.integers(0, 1500), max_size=120))
    times = np.cumsum([0, *steps_ms]) / 1000.0
    keys = draw(st.sets(st.integers(0, len(steps_ms)), max_size=20))
    return video([float(each) for each in times], sorted(keys), float(times[-1]) + 0.04)


@st.composite
def seen_videos(draw: st.DrawFn) -> tuple[VideoInfo, SamplingSettings, Thumbnails]:
    """With the thumbnails that the strategy asks for, some of them missing."""
    info = draw(videos())
    chosen = sampling(
        strategy=draw(st.sampled_from(STRATEGIES)),
        frames=draw(st.integers(1, 40)),
        rate_hz=draw(st.sampled_from([0.1, 1.0, 24.0, 240.0])),
        every=draw(st.integers(1, 50)),
        max_frames=draw(st.integers(1, 40)),
        max_gap_s=draw(st.sampled_from([5e-324, 0.3, 2.0, 1e6])),
        finest_s=draw(st.sampled_from([5e-324, 0.1, 3.0])),
        suspicion=draw(st.sampled_from([0.0, 0.3, 1.0])),
        rounds=draw(st.integers(0, 4)),
    )
    wanted = [index for index in wants_thumbnails(info, chosen) if draw(st.integers(0, 9))]
    return info, chosen, pictures({index: draw(st.integers(0, 255)) for index in wanted}) if wanted else NOTHING


@pytest.mark.parametrize(
    ("info", "n", "expected"),
    [
        (steady(11, 10.0), 5, (0, 2, 5, 7, 10)),
        (steady(11, 10.0), 2, (0, 10)),
        (steady(11, 10.0), 1, (5,)),
        (steady(3, 10.0), 5, (0, 1, 2)),
        (steady(1, 10.0), 1, (0,)),
        (SLIDES, 5, (0, 4, 5, 6)),
        (SLIDES, 3, (0, 5, 6)),
        (video([0.0, 0.0, 0.0]), 2, (0,)),
        (video([]), 5, ()),
    ],
)
def test_uniform_is_even_over_time(info: VideoInfo, n: int, expected: tuple[int, ...]) -> None:
    assert uniform(info, n) == expected


@pytest.mark.parametrize(
    ("info", "rate_hz", "cap", "expected"),
    [
        (steady(21, 10.0), 2.0, 99, (0, 5, 10, 15, 20)),
        (steady(11, 10.0), 4.0, 99, (0, 2, 5, 7, 10)),
        (steady(5, 10.0), 240.0, 99, (0, 1, 2, 3, 4)),
        (steady(21, 10.0), 2.0, 3, (0, 10, 20)),
        (SLIDES, 2.0, 99, (0, 4, 5, 6)),
        (steady(1, 10.0), 2.0, 99, (0,)),
        (video([]), 2.0, 99, ()),
        (video([0.0, 0.033, 0.067, 0.1, 0.133]), 30.0, 99, (0, 1, 2, 3, 4)),
    ],
)
def test_frames_at_a_rate(info: VideoInfo, rate_hz: float, cap: int, expected: tuple[int, ...]) -> None:
    """The last: timestamps cut to milliseconds still give every frame at the video's own rate."""
    assert at_rate(info, rate_hz, cap) == expected


def test_one_in_so_many_frames() -> None:
    assert every(steady(10, 1.0), 3, 99) == (0, 3, 6, 9)
    assert every(steady(10, 1.0), 3, 2) == (0, 9)
    assert every(steady(10, 1.0), 99, 99) == (0,)
    assert every(video([]), 3, 99) == ()


def test_keyframes_as_the_container_has_them() -> None:
    assert keyframes(steady(90, 30.0, [0, 12, 40, 77]), 99) == (0, 12, 40, 77)
    assert keyframes(steady(90, 30.0, [0, 12, 40, 77]), 3) == (0, 12, 77)
    assert keyframes(steady(90, 30.0, [12, 40]), 1) == (12,)
    assert keyframes(steady(90, 30.0, []), 99) == (0,)
    assert keyframes(video([], []), 99) == ()


def test_shots_end_where_the_picture_changes() -> None:
    """51 of 255 is a difference of 0.2."""
    seen = pictures({0: 10, 15: 12, 30: 63, 45: 60, 60: 62, 75: 200, 90: 149})
    assert shots(seen, 0.2) == (Shot(0, 15, 0), Shot(30, 60, 45), Shot(75, 75, 75), Shot(90, 90, 90))
    assert shots(seen, 0.21) == (Shot(0, 60, 30), Shot(75, 90, 75))
    assert shots(seen, 1.0) == (Shot(0, 90, 45),)
    assert shots(NOTHING, 0.2) == ()


def test_a_difference_does_not_wrap_around() -> None:
    """In bytes, 10 - 250 is 16."""
    assert shots(pictures({0: 10, 1: 250}), 0.9) == (Shot(0, 0, 0), Shot(1, 1, 1))


def test_near_duplicates_take_over_the_earlier_reading() -> None:
    seen = pictures({0: 100, 3: 101, 6: 100, 9: 180, 12: 181})
    assert same_as(seen, (0, 3, 6, 9, 12), 0.01) == {3: 0, 6: 0, 12: 9}
    assert same_as(seen, (12, 3, 6), 0.01) == {6: 3}
    assert same_as(seen, (0, 3, 6, 9, 12), 0.0) == {}
    assert same_as(seen, (0, 2, 3), 0.01) == {3: 0}
    assert same_as(NOTHING, (0, 3), 0.01) == {}


def test_a_frame_with_a_reading_of_its_own_stands_for_itself() -> None:
    seen = pictures({0: 100, 3: 101, 6: 102, 9: 103})
    assert same_as(seen, (0, 3, 6, 9), 0.01, judged={0, 6}) == {3: 0, 9: 6}


def test_slow_changes_do_not_add_up() -> None:
    """Two levels a frame are below 0.01 of 255, four are not: every other frame stands for itself, for ever."""
    fade = pictures({index: 2 * index for index in range(100)})
    assert same_as(fade, tuple(range(100)), 0.01) == {index: index - 1 for index in range(1, 100, 2)}


def test_thinning_keeps_both_ends() -> None:
    assert thin((3, 5, 8, 13, 21), 3) == (3, 8, 21)
    assert thin((3, 5, 8, 13, 21), 1) == (3,)
    assert thin((3, 5), 9) == (3, 5)


def test_thumbnails_are_wanted_as_close_as_anything_is_looked_at_and_of_keyframes() -> None:
    info = steady(31, 10.0, [0, 13])
    assert wants_thumbnails(info, sampling(strategy="shots", finest_s=0.5)) == (0, 5, 10, 13, 15, 20, 25, 30)
    assert wants_thumbnails(info, sampling(finest_s=1.0)) == (0, 10, 13, 20, 30)
    assert wants_thumbnails(info, sampling()) == tuple(range(31))
    assert wants_thumbnails(video([]), sampling()) == ()
    for strategy in ("uniform", "fps", "every", "keyframes"):
        assert wants_thumbnails(info, sampling(strategy=strategy)) == ()


def test_thumbnails_have_a_limit() -> None:
    """Four hours, every frame a keyframe."""
    n = 4 * 3600 * 10
    wanted = wants_thumbnails(steady(n, 10.0, range(n)), sampling())
    assert (len(wanted), wanted[0], wanted[-1]) == (MOST_THUMBNAILS, 0, n - 1)


def test_each_strategy_by_its_name() -> None:
    info = steady(61, 10.0, [0, 33])
    seen = pictures({index: 0 if index < 30 else 200 for index in range(0, 61, 5)})
    expected: dict[SamplingName, tuple[int, ...]] = {
        "uniform": (0, 15, 30, 45, 60),
        "fps": (0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60),
        "every": (0, 30, 60),
        "keyframes": (0, 33),
        "shots": (10, 45),
        "adaptive": (10, 27, 45, 60),
    }
    found = {name: first_frames(info, sampling(strategy=name), seen) for name in STRATEGIES}
    assert found == expected


def test_shots_without_thumbnails_are_the_frames_that_were_to_be_compared() -> None:
    info = steady(61, 10.0)
    chosen = sampling(strategy="shots", max_frames=4)
    assert first_frames(info, chosen, NOTHING) == first_frames(info, chosen) == (0, 20, 40, 60)


def test_the_first_pass_fills_gaps_evenly_between_landmarks() -> None:
    """Keyframes at 0 s and 5 s; from 0 s to 5 s in three steps, from 5 s to 9 s in two."""
    info = steady(91, 10.0, [0, 50])
    assert first_frames(info, sampling(max_gap_s=2.0)) == (0, 17, 33, 50, 70, 90)


def test_a_stretch_ends_where_one_part_of_the_picture_changes() -> None:
    """A thing in one of 48 parts comes and goes: 0.01 of the whole picture, which is no cut."""
    seen = patches({0: 10, 1: 12, 2: 11, 3: 90, 4: 91, 5: 90, 6: 12, 7: 11})
    assert shots(seen, 0.02) == (Shot(0, 7, 3),)
    assert stretches(seen, 0.06) == (Shot(0, 2, 1), Shot(3, 5, 4), Shot(6, 7, 6))
    assert stretches(seen, 0.5) == (Shot(0, 7, 3),)
    assert stretches(NOTHING, 0.06) == ()


def test_what_moves_all_the_time_is_one_stretch() -> None:
    seen = patches({0: 10, 1: 11, 2: 60, 3: 110, 4: 160, 5: 210, 6: 211})
    assert stretches(seen, 0.06) == (Shot(0, 1, 0), Shot(2, 4, 3), Shot(5, 6, 5))


def test_the_first_pass_looks_at_every_stretch_once_and_at_far_ends() -> None:
    """A thing is there from 3 s to 3.5 s; within 2 s of a frame that is judged nothing else is looked at."""
    info = steady(61, 10.0, [0, 33, 40])
    seen = patches({index: 90 if 30 <= index < 35 else 10 for index in range(61)})
    chosen = sampling(max_gap_s=4.0)
    assert [(each.first, each.last) for each in stretches(seen, 0.06)] == [(0, 29), (30, 34), (35, 60)]
    assert first_frames(info, chosen, seen) == (14, 33, 47)
    assert first_frames(info, sampling(max_gap_s=2.0), seen) == (0, 14, 33, 47, 60)


def test_a_slow_fade_is_one_stretch_with_looks_in_between() -> None:
    info = steady(61, 10.0)
    fade = pictures({index: 90 + index for index in range(61)})
    assert first_frames(info, sampling(max_gap_s=20.0), fade) == (30,)
    assert first_frames(info, sampling(max_gap_s=2.0), fade) == (0, 15, 30, 45, 60)


def test_closer_looks_go_to_where_the_picture_changes() -> None:
    """A thing comes at frame 33: the frame behind that moment is looked at, then the one before it."""
    info = steady(61, 10.0)
    seen = patches({index: 90 if index >= 33 else 10 for index in range(61)})
    assert closer_frames(info, sampling(), {0: 0.0, 60: 0.9}) == (30,)
    assert closer_frames(info, sampling(), {0: 0.0, 60: 0.9}, seen) == (33,)
    assert closer_frames(info, sampling(), {0: 0.0, 33: 0.9, 60: 0.9}, seen) == (32,)
    assert closer_frames(info, sampling(max_gap_s=5.0), {0: 0.0, 32: 0.0, 33: 0.9, 60: 0.9}, seen) == ()
    assert closer_frames(info, sampling(), {0: 0.0, 20: 0.9, 60: 0.9}, seen) == (10,)


def test_too_few_frames_to_keep_some_back_are_spread_evenly() -> None:
    info = steady(61, 10.0, [0, 20, 40])
    assert first_frames(info, sampling(max_frames=5)) == (0, 15, 30, 45, 60)
    assert first_frames(info, sampling(max_frames=1)) == (30,)


def test_a_video_too_long_for_the_gap_is_still_covered_and_keeps_landmarks() -> None:
    """An hour, 64 frames, half of them kept back, half of the rest for the 20 shots."""
    info = steady(36_001, 10.0)
    wanted = wants_thumbnails(info, sampling())
    cuts = {index: 200 * (index // 1800 % 2) for index in wanted}
    chosen = first_frames(info, sampling(), pictures(cuts))
    shot_middles = {shot.middle for shot in shots(pictures(cuts), 0.25)}
    longest_s = max(b - a for a, b in pairwise(chosen)) / 10.0
    assert len(shot_middles) == 21
    assert len(chosen) <= 32
    assert len(shot_middles & set(chosen)) >= 14
    assert longest_s < 2 * 3600 / 31


@pytest.mark.parametrize(
    ("judged", "expected"),
    [
        ({0: 0.0, 20: 0.0, 40: 0.0}, ()),
        ({0: 0.0, 20: 0.9, 40: 0.0}, (10, 30)),
        ({0: 0.9, 20: 0.9, 40: 0.9}, ()),
        ({0: 0.0, 20: 0.3, 40: 0.3}, (10,)),
        ({0: 0.4, 20: 0.9, 40: 0.9}, (10,)),
        ({0: 0.0, 20: None, 40: 0.0}, (10, 30)),
        ({0: None, 20: None, 40: None}, (10, 30)),
        ({0: None, 10: None, 20: None}, ()),
        ({0: 0.0, 2: 0.9}, (1,)),
        ({0: 0.0, 1: 0.9}, ()),
        ({0: 0.0, 60: 0.0}, (30,)),
        ({0: 0.9, 60: 0.9}, (30,)),
        ({0: 0.0, 60: 0.0, 80: 0.9}, (70,)),
        ({0: 0.9}, ()),
        ({}, ()),
    ],
)
def test_closer_looks(judged: dict[int, float | None], expected: tuple[int, ...]) -> None:
    assert closer_frames(steady(100, 10.0), sampling(), judged) == expected


def test_closer_looks_stop_at_the_finest_distance() -> None:
    info = steady(100, 10.0)
    assert closer_frames(info, sampling(finest_s=0.2), {0: 0.0, 2: 0.9}) == ()
    assert closer_frames(info, sampling(finest_s=0.2), {0: 0.0, 3: 0.9}) == (1,)


def test_closer_looks_keep_within_the_limit_and_look_at_ends_of_moments_first() -> None:
    """Undecided until 1 s; a moment starts between 2 s and 3 s (4 looks), and ends between 6 s and 9 s (5 looks)."""
    info = steady(200, 10.0)
    judged: dict[int, float | None] = {0: None, 10: 0.0, 20: 0.0, 30: 0.9, 60: 0.9, 90: 0.0}
    chosen = {room: closer_frames(info, sampling(max_frames=6 + room), judged) for room in (0, 1, 2, 9, 10)}
    assert chosen == {0: (), 1: (75,), 2: (25, 75), 9: (25, 75), 10: (5, 25, 75)}


def test_half_of_what_is_left_is_kept_for_what_undecided_neighbours_will_show() -> None:
    info = steady(200, 10.0)
    judged: dict[int, float | None] = {0: 0.0, 20: None, 50: 0.0, 60: None, 80: 0.0}
    assert closer_frames(info, sampling(max_frames=9), judged) == (10, 35)
    assert closer_frames(info, sampling(max_frames=13), judged) == (10, 35, 55, 70)


def test_a_long_calm_video_is_looked_at_further_with_half_of_what_is_left() -> None:
    info = steady(1001, 10.0)
    judged: dict[int, float | None] = {0: 0.0, 200: 0.0, 500: 0.0, 1000: 0.0}
    assert closer_frames(info, sampling(max_frames=8), judged) == (350, 750)


def test_other_strategies_look_once() -> None:
    for strategy in STRATEGIES[1:]:
        chosen = sampling(strategy=strategy)
        assert closer_frames(steady(100, 10.0), chosen, {0: 0.0, 20: 0.9}) == ()


@given(seen_videos())
@_steady
def test_every_strategy_gives_ascending_frames_within_its_limits(
    given_video: tuple[VideoInfo, SamplingSettings, Thumbnails],
) -> None:
    info, chosen, seen = given_video
    wanted, first = wants_thumbnails(info, chosen), first_frames(info, chosen, seen)
    for indices, most in ((wanted, MOST_THUMBNAILS), (first, chosen.max_frames)):
        assert list(indices) == sorted(set(indices))
        assert set(indices) <= set(range(len(info.timestamps_s)))
        assert len(indices) <= most
    assert first


@given(seen_videos(), st.data())
@_steady
def test_closer_looks_are_new_frames_within_the_limit_and_come_to_an_end(
    given_video: tuple[VideoInfo, SamplingSettings, Thumbnails], data: st.DataObject
) -> None:
    info, chosen, seen = given_video
    suspicions = st.none() | st.floats(0.0, 1.0)
    judged = {index: data.draw(suspicions) for index in first_frames(info, chosen, seen)}
    while found := closer_frames(info, chosen, judged):
        assert list(found) == sorted(set(found))
        assert min(judged) < found[0]
        assert found[-1] < max(judged)
        assert not set(found) & set(judged)
        judged |= {index: data.draw(suspicions) for index in found}
        assert len(judged) <= chosen.max_frames


@given(videos(), st.sampled_from([0.3, 1.0, 2.0]))
@_steady
def test_the_first_pass_leaves_no_longer_gap_with_a_frame_in_it(info: VideoInfo, max_gap_s: float) -> None:
    chosen = first_frames(info, sampling(max_frames=10_000, max_gap_s=max_gap_s))
    for left, right in pairwise(chosen):
        gap_s = info.timestamps_s[right] - info.timestamps_s[left]
        assert gap_s <= max_gap_s + 1e-5 or right == left + 1
    assert {0, len(info.timestamps_s) - 1} <= set(chosen)


def look(
    info: VideoInfo, chosen: SamplingSettings, harm: Sequence[Interval], rounds: int = 16
) -> tuple[dict[int, float | None], int]:
    """What a judge who never errs reads, and in how many rounds, until there is nothing to learn."""

    def read(indices: Sequence[int]) -> dict[int, float | None]:
        times = {index: info.timestamps_s[index] for index in indices}
        return {index: float(any(a <= at < b for a, b in harm)) for index, at in times.items()}

    judged = read(first_frames(info, chosen))
    for count in range(rounds):
        more = closer_frames(info, chosen, judged)
        if not more:
            return judged, count
        judged |= read(more)
    return judged, rounds


def crossings(info: VideoInfo, judged: Mapping[int, float | None]) -> list[float]:
    """Halfway between neighbouring frames that were read differently."""
    changes = [(a, b) for a, b in pairwise(sorted(judged)) if judged[a] != judged[b]]
    return [(info.timestamps_s[a] + info.timestamps_s[b]) / 2.0 for a, b in changes]


@st.composite
def harmful_videos(draw: st.DrawFn) -> tuple[VideoInfo, list[Interval]]:
    """Rates that vary between 8 and 125 Hz; up to four moments, each and the calm between them over 2 s."""
    lengths = draw(st.lists(st.tuples(st.floats(2.01, 8.0), st.floats(2.01, 8.0)), max_size=4))
    harm, end = [], draw(st.floats(0.0, 5.0))
    for harm_s, calm_s in lengths:
        harm.append((end, end + harm_s))
        end += harm_s + calm_s
    seed = draw(st.integers(0, 2**32 - 1))
    steps = np.random.default_rng(seed).uniform(0.008, 0.125, math.ceil((end + 1.0) / 0.008))
    times = np.concatenate([[0.0], np.cumsum(steps)])
    times = times[times <= end + 1.0]
    return video([float(each) for each in times], range(0, len(times), 50)), harm


@given(harmful_videos())
@_steady
def test_every_moment_is_found_and_its_ends_within_the_finest_distance(
    given_video: tuple[VideoInfo, list[Interval]],
) -> None:
    info, harm = given_video
    chosen = sampling(max_frames=1000)
    judged, rounds = look(info, chosen, harm)
    ends = [end for moment in harm for end in moment][1 if judged[0] else 0 :]
    assert crossings(info, judged) == pytest.approx(ends, abs=chosen.finest_s, rel=0)
    assert rounds <= math.ceil(math.log2(chosen.max_gap_s / chosen.finest_s)) + 1
    assert len(judged) <= len(first_frames(info, chosen)) + len(ends) * rounds


def test_it_takes_far_fewer_frames_than_ten_a_second() -> None:
    """Two minutes at 30 Hz, a keyframe every 250 frames, three moments: a twelfth of the frames."""
    info = steady(3601, 30.0, range(0, 3601, 250))
    harm = [(20.3, 25.1), (60.0, 62.5), (100.7, 110.2)]
    chosen = sampling(max_frames=200)
    judged, rounds = look(info, chosen, harm)
    assert (len(first_frames(info, chosen)), len(judged), rounds) == (73, 99, 5)
    assert len(at_rate(info, 10.0, 10_000)) == 1201


def test_the_default_number_of_rounds_is_enough_for_the_finest_distance() -> None:
    """A gap of 2 s is halved five times."""
    info, chosen = steady(3601, 30.0), sampling(max_frames=200)
    judged, rounds = look(info, chosen, [(20.3, 25.1), (60.0, 62.5)], chosen.rounds)
    assert rounds == 5
    assert crossings(info, judged) == pytest.approx([20.3, 25.1, 60.0, 62.5], abs=chosen.finest_s, rel=0)
