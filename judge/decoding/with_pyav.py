"""Decoding with PyAV: seeks to the keyframe before, decodes forward from there, and skips what nobody asked for.

After an error every frame up to the next keyframe counts as damaged, because it builds on what was lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import av
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from judge.decoding.index import Index
from judge.decoding.pictures import Damaged, Pixels, Shape, scaled, upright

_BAD_DATA = (av.error.FFmpegError, ValueError)
_NEAR_FRAMES = 8
"""So far ahead, decoding on is not slower than looking for a keyframe in between."""
_EARLIER_ENTRIES = 3
"""Keyframes that are tried when the container leads to a later place than it was asked for."""
_STRANGEST_ASPECT = 4
"""Pixels that are said to be wider or narrower than this are a mistake."""


def shown_size(size: tuple[int, int], aspect: float, rotation_deg: int) -> tuple[int, int]:
    """Width and height upright. Pixels that are not square (`aspect`) make the picture smaller, never larger."""
    width, height = size
    if 1 < aspect < _STRANGEST_ASPECT:
        height = max(1, round(height / aspect))
    elif 1 / _STRANGEST_ASPECT < aspect < 1:
        width = max(1, round(width * aspect))
    return (height, width) if rotation_deg % 180 else (width, height)


class PyAVDecoder:
    """One pass over ascending indices; what lies between two of them is decoded only if the later one needs it."""

    def __init__(self, container: InputContainer, stream: VideoStream, index: Index, *, threads: int = 1) -> None:
        self._container = container
        self._stream = stream
        self._index = index
        self._keyframes = frozenset(index.keyframes.tolist())
        self._run: _Run | None = None
        self._wanted: frozenset[int] = frozenset()
        stream.codec_context.thread_count = threads

    def pictures(self, indices: Sequence[int], shape: Shape) -> Iterator[Pixels | Damaged]:
        """See `PictureDecoder`."""
        self._run = None
        self._wanted = frozenset(self._index.shown[list(indices)].tolist())
        for index, following in zip(indices, [*indices[1:], None], strict=True):
            try:
                yield upright(scaled(self._frame(index, following), *shape.coded), shape.quarter_turns)
            except MemoryError:
                raise
            except Damaged as error:
                yield error
            except _BAD_DATA as error:
                yield Damaged(_reason(error))

    def rotation(self) -> int:
        """Clockwise degrees by which pictures must be turned, a multiple of 90: it stands beside a decoded frame.

        Raises:
            Damaged: The first keyframes cannot be decoded.
        """
        reason = "there are none"
        # An edit list may cut off the keyframe that the first frames shown build on.
        for index in self._index.keyframes[:3].tolist() or [0][: len(self._index.entries)]:
            try:
                return round(-self._frame(index, None).rotation / 90) % 4 * 90
            except MemoryError:
                raise
            except Damaged as error:
                reason = str(error)
            except _BAD_DATA as error:
                reason = _reason(error)
        raise Damaged(f"its first keyframes cannot be decoded: {reason}")

    def _frame(self, index: int, following: int | None) -> VideoFrame:
        if self._run is not None and self._reaches(self._run, index):
            return self._run.frame(index)
        self._run = None
        if index in self._keyframes and not self._index.counted and not self._needs(index, following):
            frame = self._keyframe(index)
            if frame is not None:
                return frame
        self._run = self._start(index)
        return self._run.frame(index)

    def _reaches(self, run: _Run, index: int) -> bool:
        """Whether to decode on instead of looking for a keyframe in between."""
        ahead = index - run.last
        return ahead > 0 and (ahead <= _NEAR_FRAMES or self._index.counted or not self._needs_other(run.last, index))

    def _needs_other(self, index: int, later: int) -> bool:
        return self._entry(index) != self._entry(later)

    def _needs(self, index: int, following: int | None) -> bool:
        """Whether the following frame builds on this one."""
        return following is not None and not self._needs_other(index, following)

    def _entry(self, index: int) -> int:
        return int(np.searchsorted(self._index.entries, self._index.shown[index], "right")) - 1

    def _keyframe(self, index: int) -> VideoFrame | None:
        """Decoded by itself, from one packet; None if that does not lead to it."""
        shown = int(self._index.shown[index])
        self._seek(self._entry(index))
        try:
            packet = next(self._container.demux(self._stream))
            if not packet.is_keyframe or packet.pts != shown:
                return None
            context = self._stream.codec_context
            context.skip_frame = "DEFAULT"
            frames = [*context.decode(packet), *context.decode(None)]
        except MemoryError:
            raise
        except (StopIteration, *_BAD_DATA):
            return None
        return next((frame for frame in frames if frame.pts == shown and not frame.is_corrupt), None)

    def _start(self, index: int) -> _Run:
        """A run that comes to `index`; the container may have to be asked for an earlier place."""
        entry = 0 if self._index.counted else max(self._entry(index), 0)
        for earlier in [*range(entry, max(entry - _EARLIER_ENTRIES, 0), -1), 0]:
            self._seek(earlier)
            run = _Run(self._container, self._stream, self._index, self._wanted | {int(self._index.shown[index])})
            if run.begins_at() <= index:
                return run
        return run

    def _seek(self, entry: int) -> None:
        self._container.seek(int(self._index.entries[entry]), stream=self._stream)


class _Run:
    """Frames in the order they are shown, from wherever the container stands."""

    def __init__(
        self, container: InputContainer, stream: VideoStream, index: Index, wanted: frozenset[int] | set[int]
    ) -> None:
        self.last = -1
        self._index = index
        self._wanted = wanted
        self._context = stream.codec_context
        self._frames = self._decoded(container, stream)
        self._next: tuple[int, VideoFrame, bool] | None = None
        self._damaged = False
        self._n_shown = 0

    def begins_at(self) -> int:
        """Index of the first frame; behind all frames if there is none."""
        found = self._peek()
        return len(self._index.shown) if found is None else found[0]

    def frame(self, index: int) -> VideoFrame:
        while (found := self._peek()) is not None and found[0] <= index:
            self.last, frame, damaged = found
            self._next = None
            if self.last == index:
                if damaged:
                    raise Damaged("its data are damaged")
                return frame
        raise Damaged("its data are missing or damaged")

    def _peek(self) -> tuple[int, VideoFrame, bool] | None:
        if self._next is None:
            self._next = next(self._frames, None)
        return self._next

    def _decoded(self, container: InputContainer, stream: VideoStream) -> Iterator[tuple[int, VideoFrame, bool]]:
        for packet in container.demux(stream):
            self._skip_unless_wanted(packet)
            try:
                frames = self._context.decode(packet)
            except EOFError:
                return
            except MemoryError:
                raise
            except _BAD_DATA:
                self._damaged = True
                continue
            for frame in frames:
                index = self._position(frame)
                # Where frames are counted, a lost one shifts all that follow.
                mended = frame.key_frame and not self._index.counted
                self._damaged = frame.is_corrupt or (self._damaged and not mended)
                if index is not None:
                    yield index, frame, self._damaged

    def _skip_unless_wanted(self, packet: Packet[VideoStream]) -> None:
        """Frames on which none builds need not be decoded on the way to another one."""
        wanted = self._index.counted or packet.pts is None or packet.pts in self._wanted
        self._context.skip_frame = "DEFAULT" if wanted else "NONREF"

    def _position(self, frame: VideoFrame) -> int | None:
        if self._index.counted:
            self._n_shown += 1
            return self._n_shown - 1 if self._n_shown <= len(self._index.shown) else None
        if frame.pts is None:
            return None
        found = int(np.searchsorted(self._index.shown, frame.pts))
        return found if found < len(self._index.shown) and self._index.shown[found] == frame.pts else None


def _reason(error: Exception) -> str:
    """FFmpeg's own words."""
    return getattr(error, "strerror", None) or str(error)
