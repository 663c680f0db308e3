"""What is known of a video's frames: which scores can be relied on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from judge.stages.board import FrameBoard, MediaBoard
from judge.types import Evidence, Frame, Media, Readings, Thumbnails, VideoInfo


class Film:
    """Frames at 0.0, 0.1, 0.2, 0.3 s, none of which can be read."""

    info = VideoInfo((0.0, 0.1, 0.2, 0.3), (0,), 0.4, 8, 8)

    def read(self, indices: Sequence[int]) -> list[Frame]:
        raise AssertionError

    def thumbnails(self, indices: Sequence[int]) -> Thumbnails:
        raise AssertionError

    def close(self) -> None: ...


def board(index: int, *, answered: bool = True, outside: str = "") -> FrameBoard:
    found = Evidence(
        stage="token_probability", precondition_id="knife", statement="A knife is visible.", outcome="undecided",
        probability=0.5, readings=Readings(observed=0.5, mass=1.0) if answered else None,
    )  # fmt: skip
    frame = Frame(index, index / 10, np.zeros((8, 8, 3), np.uint8))
    return FrameBoard(frame, evidence={"knife": (found,)}, outside=outside)


def film(*frames: FrameBoard, taken_over: dict[int, int] | None = None) -> MediaBoard:
    media = Media("a" * 64, "video", (), 0.4, video=Film())
    return MediaBoard(media, (), frames, taken_over=taken_over or {})


def test_an_undecided_frame_was_read() -> None:
    found = film(board(0), board(1))
    assert (found.unread_ms, found.is_sound) == (frozenset(), True)


def test_frames_without_an_answer_or_beyond_the_domain_are_unread_and_so_are_those_that_look_like_them() -> None:
    frames = (board(0), board(1, answered=False), board(3, outside="a photo"))
    assert film(*frames).unread_ms == {100, 300}
    assert not film(*frames).is_sound
    assert film(*frames[:2], taken_over={2: 1, 3: 0}).unread_ms == {100, 200}
