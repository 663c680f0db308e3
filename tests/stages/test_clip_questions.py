"""Pieces of a video leave no step between two frames out: a transition there would be called absent."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from judge.config import ClipSettings
from judge.stages.clip_questions import Window, windows
from judge.types import VideoInfo


def video(times: tuple[float, ...]) -> VideoInfo:
    return VideoInfo(times, (0,), times[-1], 4, 4)


def test_a_short_video_is_one_piece() -> None:
    steady = video(tuple(n / 10 for n in range(31)))
    assert windows(steady, ClipSettings(frames=4), 4) == (Window((0, 10, 20, 30), 0.0, 3.0),)


def test_neighbours_share_a_frame() -> None:
    found = windows(video(tuple(n / 10 for n in range(80))), ClipSettings(), 5)
    assert [(piece.indices[0], piece.indices[-1]) for piece in found] == [(0, 39), (39, 79)]


def test_a_frame_every_ten_seconds_still_makes_pieces() -> None:
    found = windows(video((0.0, 10.0, 20.0)), ClipSettings(), 5)
    assert [piece.indices for piece in found] == [(0, 1), (1, 2)]


def test_a_single_frame_makes_none() -> None:
    assert windows(video((0.0,)), ClipSettings(), 5) == ()


@given(
    st.lists(st.floats(0.001, 30.0), min_size=1, max_size=60),
    st.integers(1, 12),
    st.integers(2, 8),
    st.floats(0.1, 20.0),
)
def test_pieces_cover_every_step(gaps: list[float], most: int, frames: int, window_s: float) -> None:
    times = [0.0]
    for gap in gaps:
        times.append(times[-1] + gap)
    found = windows(video(tuple(times)), ClipSettings(max_windows=most, window_s=window_s), frames)
    assert 1 <= len(found) <= most
    assert (found[0].indices[0], found[-1].indices[-1]) == (0, len(times) - 1)
    assert all(a.indices[-1] == b.indices[0] for a, b in pairwise(found))
    for piece in found:
        assert 2 <= len(piece.indices) <= frames
        assert list(piece.indices) == sorted(set(piece.indices))
        assert (piece.start_s, piece.end_s) == (times[piece.indices[0]], times[piece.indices[-1]])
