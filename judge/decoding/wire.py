"""What the decoder's process and `judge.media` say to each other, through two pipes. Standard library only.

Requests are JSON behind their length: first a `Job`, then any number of `Request`s. Answers are a kind and a length,
then the payload: `INFO` for the job; for a request one `FRAME` or `MISSING` per index, then `DONE`. `ERROR` takes the
place of whatever was still to come.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Literal

MAX_FRAMES = 1_000_000
"""More than four hours of 60 frames a second."""
MAX_ERROR_BYTES = 2000
MAX_CODEC_CHARACTERS = 32
THUMBNAIL_WIDTH_PX = 32
MAX_THUMBNAIL_HEIGHT_PX = 1024
"""A thumbnail of a narrow strip is not higher than this."""

HEADER = struct.Struct("<BI")
"""Kind and length of an answer."""
INDEX = struct.Struct("<I")
"""Begins the payload of FRAME and MISSING; of FRAME, the RGB bytes follow."""
INFO = struct.Struct("<IIIIHd32s")
"""Frames, keyframes, width, height, rotation, duration, codec; then all timestamps (f8), all keyframes (u4)."""
LENGTH = struct.Struct("<I")

Decoder = Literal["pyav", "decord"]
ContainerFormat = Literal["mov", "matroska", "avi"]
"""FFmpeg's names."""


class Kind(IntEnum):
    """Of an answer."""

    INFO = 1
    FRAME = 2
    MISSING = 3
    ERROR = 4
    DONE = 5


@dataclass(frozen=True, slots=True)
class Job:
    """Which file, and what it may cost. `descriptor` is an open file that the process inherits."""

    descriptor: int
    format: ContainerFormat
    decoder: Decoder
    memory_bytes: int
    cpu_s: float
    max_duration_s: float
    max_pixels: int
    max_side_px: int


@dataclass(frozen=True, slots=True)
class Request:
    """Frames at these positions, ascending and each once."""

    what: Literal["frames", "thumbnails"]
    indices: tuple[int, ...]


def to_bytes(message: Job | Request) -> bytes:
    """With its length in front."""
    text = json.dumps(asdict(message)).encode()
    return LENGTH.pack(len(text)) + text


def read_exactly(descriptor: int, n_bytes: int) -> bytes:
    """Fewer at the end of the stream only."""
    found = bytearray()
    while len(found) < n_bytes and (piece := os.read(descriptor, n_bytes - len(found))):
        found += piece
    return bytes(found)


def read_message(read: Callable[[int], bytes]) -> dict[str, object] | None:
    """The next message; None at the end of the stream."""
    length = read(LENGTH.size)
    if len(length) < LENGTH.size:
        return None
    found: dict[str, object] = json.loads(read(*LENGTH.unpack(length)))
    return found


def fit(width_px: int, height_px: int, max_side_px: int) -> tuple[int, int]:
    """Width and height scaled down, never up, so that the longer side is at most `max_side_px`; none becomes 0."""
    longer = max(width_px, height_px)
    if longer <= max_side_px:
        return width_px, height_px
    return tuple(max(1, round(side * max_side_px / longer)) for side in (width_px, height_px))  # type: ignore[return-value]


def thumbnail_size(width_px: int, height_px: int) -> tuple[int, int]:
    """Width and height of a thumbnail, whose width is fixed."""
    height = round(height_px * THUMBNAIL_WIDTH_PX / width_px)
    return THUMBNAIL_WIDTH_PX, min(max(height, 1), MAX_THUMBNAIL_HEIGHT_PX)
