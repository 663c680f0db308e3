"""The loop of the decoder's process: one file, its index, then frames as they are asked for.

Decoders fail in every way there is: whatever is raised becomes an `ERROR` answer. The process ends with its input.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from judge.decoding.limits import limit_process
from judge.decoding.wire import (
    HEADER,
    INDEX,
    INFO,
    MAX_CODEC_CHARACTERS,
    MAX_ERROR_BYTES,
    Job,
    Kind,
    Request,
    fit,
    read_exactly,
    read_message,
    thumbnail_size,
)

if TYPE_CHECKING:
    from judge.decoding.index import Index
    from judge.decoding.pictures import PictureDecoder, Pixels, Shape

_INPUT = 0
_MOST_BYTES_PER_PIXEL = 30
"""Twenty pictures of 1.5 bytes a pixel: what H.264 keeps at most. With less memory, decoders report damaged data."""
_MORE_MEMORY = "if it plays elsewhere, raise video.decoding.memory_mb"
_INSTALL = "pip install 'visual-judge[video]'"


def main() -> None:
    """Serves one file until the input ends."""
    output = os.dup(1)
    os.dup2(2, 1)  # what libraries print must not stand between answers
    answers = _Answers(output)
    job = Job(**cast("dict[str, object]", read_message(_read)))  # type: ignore[arg-type]
    try:
        video = _open(job)
        answers.info(video)
    except ImportError as error:
        answers.error(f"{error.name or error} is missing, which decodes videos", _INSTALL)
    except Exception as error:
        answers.failure(error, job)
    else:
        while (message := read_message(_read)) is not None:
            try:
                _serve(Request(message["what"], tuple(message["indices"])), video, answers)  # type: ignore[arg-type]
            except Exception as error:
                answers.failure(error, job)


@dataclass(frozen=True, slots=True)
class _Video:
    index: Index
    decoder: PictureDecoder
    width_px: int
    height_px: int
    rotation_deg: int
    codec: str
    shape: Shape
    thumbnail: Shape
    hint: str


def _open(job: Job) -> _Video:
    # The libraries are loaded before the limits, which leave no descriptor for it.
    from judge.decoding.index import build_index, open_container, video_stream  # noqa: PLC0415
    from judge.decoding.pictures import Shape  # noqa: PLC0415
    from judge.decoding.with_pyav import PyAVDecoder, shown_size  # noqa: PLC0415

    placeholder = -1
    if job.decoder == "decord":
        from judge.decoding.with_decord import DecordDecoder  # noqa: PLC0415

        placeholder = os.dup(_INPUT)
    limit_process(memory_bytes=job.memory_bytes, cpu_s=job.cpu_s)
    container = open_container(os.fdopen(job.descriptor, "rb", closefd=False), job)
    stream = video_stream(container, job)
    # Noted before anything is decoded, which may change them.
    size, aspect = (stream.width, stream.height), float(stream.sample_aspect_ratio or 1)
    index = build_index(container, stream, job)
    pyav = PyAVDecoder(container, stream, index)
    rotation = pyav.rotation()
    width, height = shown_size(size, aspect, rotation)
    shape = Shape(*fit(width, height, job.max_side_px), rotation // 90)
    thumbnail = Shape(*thumbnail_size(width, height), rotation // 90)
    decoder = DecordDecoder(job, index, shape, placeholder) if job.decoder == "decord" else pyav
    codec = stream.codec_context.codec.canonical_name
    hint = _MORE_MEMORY if job.memory_bytes < size[0] * size[1] * _MOST_BYTES_PER_PIXEL else ""
    return _Video(index, decoder, width, height, rotation, codec, shape, thumbnail, hint)


def _serve(request: Request, video: _Video, answers: _Answers) -> None:
    small = request.what == "thumbnails"
    found = video.decoder.pictures(request.indices, video.thumbnail if small else video.shape)
    for index, pixels in zip(request.indices, found, strict=True):
        if not isinstance(pixels, Exception):
            answers.frame(index, pixels)
        elif small:
            answers.missing(index)
        else:
            seconds = video.index.timestamps_s[index]
            hint = pixels.hint or video.hint
            answers.error(f"frame {index} at {seconds:.3f} s cannot be decoded: {pixels}", hint)
            return
    answers.done()


class _Answers:
    """Writes them."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def info(self, video: _Video) -> None:
        index = video.index
        codec = video.codec.encode("ascii", "replace")[:MAX_CODEC_CHARACTERS]
        head = INFO.pack(
            len(index.shown),
            len(index.keyframes),
            video.width_px,
            video.height_px,
            video.rotation_deg,
            index.duration_s,
            codec,
        )
        self._write(Kind.INFO, head, index.timestamps_s.astype("<f8").data, index.keyframes.astype("<u4").data)

    def frame(self, index: int, pixels: Pixels) -> None:
        self._write(Kind.FRAME, INDEX.pack(index), pixels.data)

    def missing(self, index: int) -> None:
        self._write(Kind.MISSING, INDEX.pack(index))

    def done(self) -> None:
        self._write(Kind.DONE)

    def failure(self, error: Exception, job: Job) -> None:
        if isinstance(error, MemoryError):
            text = f"it needs more than {job.memory_bytes // 2**20:,} MB of memory"
            hint = "raise video.decoding.memory_mb"
        elif hasattr(error, "hint"):
            text, hint = str(error), error.hint
        else:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            text, hint = f"it cannot be read: {reason}", ""
        self.error(text, hint)

    def error(self, text: str, hint: str = "") -> None:
        """Text and hint, a zero byte between them."""
        cut = [part.encode("utf-8", "replace")[: MAX_ERROR_BYTES // 2 - 1] for part in (text, hint)]
        self._write(Kind.ERROR, b"\0".join(cut))

    def _write(self, kind: Kind, *parts: bytes | memoryview) -> None:
        views = [memoryview(part).cast("B") for part in parts]
        for view in (memoryview(HEADER.pack(kind, sum(len(view) for view in views))), *views):
            written = 0
            while written < len(view):
                written += os.write(self._descriptor, view[written:])


def _read(n_bytes: int) -> bytes:
    return read_exactly(_INPUT, n_bytes)
