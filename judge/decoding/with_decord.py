"""Decoding with decord 0.6, whose FFmpeg is of 2018: no AV1, no rotation in Matroska, and it finds files out by itself.

It opens the file by the descriptor's own path, once, and finds no other descriptor free.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import decord
from av.video.frame import VideoFrame

from judge.decoding.index import Index
from judge.decoding.pictures import Damaged, Pixels, RefusedError, Shape, scaled, upright
from judge.decoding.wire import Job

_NO_REPAIR = 1e-9
"""Share of frames that decord may make up for others. 0 would mean any."""
_HINT = "set video.decoding.decoder to 'pyav'"


class DecordDecoder:
    """Frames by their position; the container must hold as many for decord as for the index."""

    def __init__(self, job: Job, index: Index, shape: Shape, placeholder: int, *, threads: int = 1) -> None:
        self._job = job
        self._index = index
        self._shape = shape
        self._placeholder = placeholder
        self._threads = threads
        self._opened: Any | RefusedError | None = None

    def pictures(self, indices: Sequence[int], shape: Shape) -> Iterator[Pixels | Damaged]:
        """See `PictureDecoder`."""
        reader = self._reader()
        for index in indices:
            try:
                pixels: Pixels = reader[index].asnumpy()
            except (decord.DECORDError, StopIteration, ValueError) as error:
                yield Damaged(_first_line(error), _HINT)
                continue
            yield _resized(self._turned(pixels), shape)

    def _reader(self) -> Any:
        """Opened once, whether that succeeds or not: there is a descriptor for one attempt."""
        if self._opened is None:
            try:
                self._opened = self._open()
            except RefusedError as error:
                self._opened = error
        if isinstance(self._opened, RefusedError):
            raise self._opened
        return self._opened

    def _open(self) -> Any:
        # Rotation that stands in mp4 and mov is decord's own work.
        width, height = (self._shape.width_px, self._shape.height_px) if self._turns_itself else self._shape.coded
        os.close(self._placeholder)
        try:
            reader = decord.VideoReader(
                f"/dev/fd/{self._job.descriptor}",
                width=width,
                height=height,
                num_threads=self._threads,
                fault_tol=_NO_REPAIR,
            )
        except (decord.DECORDError, RuntimeError, AssertionError) as error:
            raise RefusedError(f"decord cannot read it: {_first_line(error)}", _HINT) from error
        if len(reader) != len(self._index.shown):
            raise RefusedError(f"decord finds {len(reader):,} frames, not {len(self._index.shown):,}", _HINT)
        return reader

    @property
    def _turns_itself(self) -> bool:
        return self._job.format == "mov"

    def _turned(self, pixels: Pixels) -> Pixels:
        return pixels if self._turns_itself else upright(pixels, self._shape.quarter_turns)


def _resized(pixels: Pixels, shape: Shape) -> Pixels:
    size = (shape.width_px, shape.height_px)
    if pixels.shape[1::-1] == size:
        return pixels
    return scaled(VideoFrame.from_ndarray(pixels, "rgb24"), *size)


def _first_line(error: Exception) -> str:
    """decord's errors carry a stack behind the first line."""
    return str(error).strip().split("\n")[0].rpartition("] ")[2] or type(error).__name__
