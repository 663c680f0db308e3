"""From the bytes of a video to an open `FrameSource`: the file is read in a process that is killed beyond its limits.

The decoder gets bytes, never a path or a URL, and only of containers whose format the signature shows: playlists, which
name other files, are none of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from hashlib import sha256
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from judge.config import DecodingSettings
from judge.decoding.wire import (
    INDEX,
    INFO,
    MAX_FRAMES,
    ContainerFormat,
    Decoder,
    Job,
    Kind,
    Request,
    fit,
    thumbnail_size,
)
from judge.errors import MediaError
from judge.media.completeness import missing_bytes
from judge.media.decoder_process import DecoderProcess, shared_file
from judge.media.signature import sniff
from judge.types import Frame, Media, Thumbnails, VideoInfo

CONTAINERS = ("avi", "mkv", "mov", "mp4", "webm")
"""Formats that are decoded."""
DEFAULT_DECODING = DecodingSettings()
_FORMATS: dict[str, tuple[str, ContainerFormat]] = {
    "MP4": ("mp4", "mov"),
    "QuickTime": ("mov", "mov"),
    "AVI": ("avi", "avi"),
    "WebM or Matroska": ("mkv", "matroska"),
}
_DOCTYPE_BYTES = 64
_MAX_READ_BYTES = 2 * 2**30
"""Of the pictures that one call reads."""
_AUTO: Decoder = "pyav"
"""decord takes more processor time however frames are chosen (benchmarks/video.py), and says less about damage."""


def open_video(data: bytes, *, source: str, limits: DecodingSettings = DEFAULT_DECODING) -> Media:
    """Media of kind "video" without frames; `Media.video` reads them, and is the caller's to close.

    Reads all packets and decodes one keyframe. While it is open it holds a process and a copy of the bytes.

    Raises:
        MediaError: It is not a video, incomplete, beyond the limits, or nothing in it can be decoded.
    """
    try:
        video = VideoFile(data, source=source, limits=limits)
    except MediaError as error:
        raise MediaError(f"{source!r}: {error.message}", hint=error.hint) from error
    return Media(sha256(data).hexdigest(), "video", (), video.info.duration_s, source, video)


class VideoFile:
    """A `FrameSource`; also a context manager that closes itself.

    A decoder that crashed or went beyond its limits is not started again: all further reading fails with that reason.
    """

    def __init__(self, data: bytes, *, source: str, limits: DecodingSettings) -> None:
        container, format = _container(data, limits)
        self._source = source
        self._limits = limits
        self._failure: MediaError | None = None
        self._process = _start(data, format, limits)
        try:
            self._info = _read_info(self._process, container, limits)
        except BaseException:
            self._process.end()
            raise

    @property
    def info(self) -> VideoInfo:
        return self._info

    def read(self, indices: Sequence[int]) -> list[Frame]:
        """See `FrameSource.read`."""
        wanted = self._checked(indices)
        size = fit(self._info.width_px, self._info.height_px, self._limits.max_side_px)
        times = self._info.timestamps_s
        found = self._pictures(Request("frames", wanted), size)
        return [Frame(index, times[index], pixels) for index, pixels in found]

    def thumbnails(self, indices: Sequence[int]) -> Thumbnails:
        """See `FrameSource.thumbnails`."""
        width, height = thumbnail_size(self._info.width_px, self._info.height_px)
        found = self._pictures(Request("thumbnails", self._checked(indices)), (width, height))
        images = np.stack([image for _, image in found]) if found else np.empty((0, height, width, 3), np.uint8)
        return Thumbnails(tuple(index for index, _ in found), images)

    def close(self) -> None:
        self._process.end()
        self._failure = self._failure or MediaError("it is closed")

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _checked(self, indices: Sequence[int]) -> tuple[int, ...]:
        wanted = tuple(sorted({int(index) for index in indices}))
        if wanted and not 0 <= wanted[0] <= wanted[-1] < len(self._info.timestamps_s):
            n_frames, asked = len(self._info.timestamps_s), wanted[0] if wanted[0] < 0 else wanted[-1]
            raise self._error(MediaError(f"it has {n_frames:,} frames, numbered from 0; asked for {asked}"))
        return wanted

    def _pictures(self, request: Request, size: tuple[int, int]) -> list[tuple[int, NDArray[np.uint8]]]:
        """Those of `indices` that can be decoded, `size` being width and height."""
        if self._failure is not None:
            raise self._error(self._failure)
        if not request.indices:
            return []
        n_bytes = len(request.indices) * size[0] * size[1] * 3
        if n_bytes > _MAX_READ_BYTES:
            too_many = f"{len(request.indices)} pictures take {n_bytes:,} bytes"
            raise self._error(MediaError(too_many, hint="read fewer at once"))
        try:
            self._process.send(request)
            return list(_pictures(self._process, request, size))
        except MediaError as error:
            if not self._process.alive:
                self._failure = error
            raise self._error(error) from error
        except BaseException:
            # Interrupted in the middle of an answer: the rest of it would be taken for the next one.
            self.close()
            raise

    def _error(self, error: MediaError) -> MediaError:
        return MediaError(f"{self._source!r}: {error.message}", hint=error.hint)


def _container(data: bytes, limits: DecodingSettings) -> tuple[str, ContainerFormat]:
    """The container's usual name and FFmpeg's; raises if the bytes are not to be decoded."""
    if not data:
        raise MediaError("empty")
    if len(data) > limits.max_bytes:
        raise MediaError(f"{len(data):,} bytes: more than {limits.max_bytes:,}", hint="cut it into pieces")
    signature = sniff(data)
    if signature.name not in _FORMATS:
        is_video = signature.kind == "video"
        detected = (
            f"{signature.name} video is not decoded" if is_video else f"not a video; detected type: {signature.name}"
        )
        raise MediaError(detected, hint=f"supported: {', '.join(CONTAINERS)}")
    container, format = _FORMATS[signature.name]
    if (missing := missing_bytes(data, format)) > 0:
        raise MediaError(f"incomplete: {missing:,} bytes are missing at its end", hint="fetch it again, or repair it")
    return "webm" if format == "matroska" and b"webm" in data[:_DOCTYPE_BYTES] else container, format


def _start(data: bytes, format: ContainerFormat, limits: DecodingSettings) -> DecoderProcess:
    try:
        descriptor = shared_file(data)
    except OSError as error:
        raise MediaError(f"there is no room for {len(data):,} bytes: {error.strerror}") from error
    try:
        job = Job(
            descriptor=descriptor,
            format=format,
            decoder=_AUTO if limits.decoder == "auto" else limits.decoder,
            memory_bytes=limits.memory_mb * 2**20,
            cpu_s=limits.cpu_s,
            max_duration_s=limits.max_duration_s,
            max_pixels=limits.max_pixels,
            max_side_px=limits.max_side_px,
        )
        return DecoderProcess(job, wall_s=limits.wall_s)
    finally:
        os.close(descriptor)


def _read_info(process: DecoderProcess, container: str, limits: DecodingSettings) -> VideoInfo:
    largest = INFO.size + MAX_FRAMES * (8 + 4)
    _, size = process.answer(lambda kind: largest if kind is Kind.INFO else -1)
    payload = bytearray(size)
    process.fill(payload)
    info = _parsed_info(payload, container)
    if info is None or not _is_possible(info, limits):
        raise process.nonsense()
    return info


def _parsed_info(payload: bytearray, container: str) -> VideoInfo | None:
    if len(payload) < INFO.size:
        return None
    n_frames, n_keyframes, width, height, rotation, duration_s, codec = INFO.unpack_from(payload)
    if len(payload) != INFO.size + 8 * n_frames + 4 * n_keyframes:
        return None
    times = np.frombuffer(payload, "<f8", n_frames, INFO.size)
    keyframes = np.frombuffer(payload, "<u4", n_keyframes, INFO.size + 8 * n_frames)
    name = codec.rstrip(b"\0").decode("ascii", "replace")
    return VideoInfo(
        tuple(times.tolist()), tuple(keyframes.tolist()), duration_s, width, height, rotation, container, name
    )


def _is_possible(info: VideoInfo, limits: DecodingSettings) -> bool:
    times, keyframes = np.array(info.timestamps_s), np.array(info.keyframes)
    return bool(
        0 < len(times) <= MAX_FRAMES
        and np.isfinite(times).all()
        and times[0] == 0.0
        and (np.diff(times) > 0).all()
        and (np.diff(keyframes) > 0).all()
        and (not len(keyframes) or keyframes[-1] < len(times))
        and times[-1] <= info.duration_s <= limits.max_duration_s
        and 0 < info.width_px * info.height_px <= limits.max_pixels
        and info.rotation_deg in (0, 90, 180, 270)
        and info.codec.isprintable()
    )


def _pictures(
    process: DecoderProcess, request: Request, size: tuple[int, int]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """In the order of `request.indices`; thumbnails may be missing, frames may not."""
    n_bytes = INDEX.size + size[0] * size[1] * 3
    largest = {Kind.FRAME: n_bytes, Kind.MISSING: INDEX.size if request.what == "thumbnails" else -1}
    for expected in request.indices:
        kind, found = process.answer(lambda kind: largest.get(kind, -1))
        index = bytearray(INDEX.size)
        if found != largest[kind]:
            raise process.nonsense()
        process.fill(index)
        if INDEX.unpack(index) != (expected,):
            raise process.nonsense()
        if kind is Kind.FRAME:
            pixels = np.empty((size[1], size[0], 3), np.uint8)
            process.fill(pixels.data)
            yield expected, pixels
    process.answer(lambda kind: 0 if kind is Kind.DONE else -1)
