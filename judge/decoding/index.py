"""When each frame of a file is shown, and where decoding may begin: from its packets, of which none is decoded."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO

import av
import av.subtitles.codeccontext
import av.subtitles.stream  # PyAV would import both when it opens a file, which is too late: see `limits`
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from judge.decoding.pictures import RefusedError
from judge.decoding.wire import MAX_FRAMES, Job

_REPAIR = "fetch it again, or repair it"
_MISSING_S = 0.5
"""Frames may end this much before the header says so: clocks are rounded, and a sound may be longer."""


@dataclass(frozen=True, slots=True)
class Index:
    """Times count in the stream's time base.

    Attributes:
        shown: `(n,) int64`, ascending: when each frame is shown.
        keyframes: Positions in `shown`.
        entries: `(k,) int64`, ascending: when the frames are shown at which decoding may begin; some of them may be
            cut off by the container's edit list.
        counted: Frames cannot be told apart by their times (AVI with reordered frames): the n-th that is decoded from
            the start is the n-th that is shown.
    """

    shown: NDArray[np.int64]
    keyframes: NDArray[np.int64]
    entries: NDArray[np.int64]
    time_base: Fraction
    duration_s: float
    counted: bool = False

    @property
    def timestamps_s(self) -> NDArray[np.float64]:
        """From 0.0."""
        return np.asarray(self.shown - self.shown[0], np.float64) * float(self.time_base)


def open_container(file: BinaryIO, job: Job) -> InputContainer:
    """FFmpeg is told the format, may use no protocol, and refuses larger pictures by itself."""
    options = {"protocol_whitelist": "none", "max_pixels": str(job.max_pixels)}
    return av.open(file, "r", format=job.format, options=options, metadata_errors="replace", buffer_size=65_536)


def video_stream(container: InputContainer, job: Job) -> VideoStream:
    """The first that is no cover picture, if its pictures are small enough.

    Raises:
        RefusedError: There is none, it cannot be decoded, or it is too large.
    """
    streams = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
    if not streams:
        raise RefusedError("it contains no moving pictures")
    stream = streams[0]
    if stream.codec_context is None:
        raise RefusedError("its pictures are coded in a way that this build of FFmpeg does not know")
    width, height = stream.width, stream.height
    if width < 1 or height < 1:
        raise RefusedError("its header states no size of the pictures")
    # The decoder refuses pictures that turn out larger than the header said.
    stream.codec_context.options = {"max_pixels": str(job.max_pixels)}
    if width * height > job.max_pixels:
        raise RefusedError(f"{width} x {height} pixels: more than {job.max_pixels:,}", "make it smaller first")
    return stream


def build_index(container: InputContainer, stream: VideoStream, job: Job) -> Index:
    """Reads the whole file once.

    Raises:
        RefusedError: It has no frames, too many, lasts too long, or ends before its header says so.
    """
    if container.duration is not None:
        _check_duration(container.duration / av.time_base, job)
    packets = _Packets(counts_only=job.format == "avi" and bool(stream.codec_context.has_b_frames))
    end_s = _read_all(container, stream, packets)
    index = packets.index(stream.time_base or Fraction(1, 1000))
    _check_duration(index.duration_s, job)
    _check_frames(stream.frames, packets.n_seen, index.duration_s)
    if job.format == "matroska":
        _check_end((container.duration or 0) / av.time_base, end_s)
    return index


@dataclass(slots=True)
class _Packets:
    """Of the video stream. With `counts_only`, shown times are decoding times: the others are made up."""

    counts_only: bool
    n_seen: int = 0
    shown: array[int] = field(default_factory=lambda: array("q"))
    keys: array[int] = field(default_factory=lambda: array("q"))
    entries: array[int] = field(default_factory=lambda: array("q"))
    end: int = 0

    def add(self, packet: Packet[Stream]) -> None:
        self.n_seen += 1
        if self.n_seen > MAX_FRAMES:
            raise RefusedError(f"more than {MAX_FRAMES:,} frames", "cut it into pieces")
        shown = packet.dts if self.counts_only else packet.pts
        shown = packet.dts if shown is None else shown
        if shown is None:
            raise RefusedError("a frame has no time")
        if packet.is_keyframe:
            self.entries.append(shown)
        if packet.is_discard:
            return
        self.shown.append(shown)
        if packet.is_keyframe:
            self.keys.append(shown)
        self.end = max(self.end, shown + (packet.duration or 0))

    def index(self, time_base: Fraction) -> Index:
        if not self.shown:
            raise RefusedError("it contains no frames")
        shown = _sorted_once(self.shown)
        if float(shown[-1]) - float(shown[0]) >= 2**62:
            raise RefusedError("its times are impossible")
        keys = np.searchsorted(shown, _sorted_once(self.keys))
        entries = _sorted_once(self.entries)
        duration_s = float((max(self.end, int(shown[-1])) - int(shown[0])) * time_base)
        return Index(shown, keys, entries, time_base, duration_s, self.counts_only)


def _sorted_once(values: array[int]) -> NDArray[np.int64]:
    """`np.unique` would import a module, which is too late here."""
    ordered = np.sort(np.array(values, np.int64))
    return ordered[np.diff(ordered, prepend=ordered[:1] - 1) > 0]


def _read_all(container: InputContainer, stream: VideoStream, packets: _Packets) -> float:
    """Latest end of any packet of any stream, in seconds of the container's clock."""
    end_s = 0.0
    for packet in container.demux():
        if not packet.size:
            continue
        if packet.stream_index == stream.index:
            packets.add(packet)
        if packet.pts is not None and packet.time_base:
            end_s = max(end_s, float((packet.pts + (packet.duration or 0)) * packet.time_base))
    return end_s


def _check_duration(duration_s: float, job: Job) -> None:
    if duration_s > job.max_duration_s:
        raise RefusedError(f"{duration_s:,.1f} s: longer than {job.max_duration_s:,.1f} s", "cut it into pieces")


def _check_frames(n_stated: int, n_found: int, found_s: float) -> None:
    """What a file lacks would not be judged. mp4, mov and avi state how many frames they have."""
    missing = max(n_stated - n_found, 0)
    if missing * found_s / n_found > _MISSING_S:
        raise RefusedError(f"incomplete: {missing:,} of {n_stated:,} frames are missing", _REPAIR)


def _check_end(stated_s: float, found_s: float) -> None:
    """Matroska states when the last of all streams ends."""
    if stated_s - found_s > _MISSING_S:
        raise RefusedError(f"incomplete: it ends at {found_s:.1f} s of {stated_s:.1f} s", _REPAIR)
