"""Clips written with PyAV. Black and white stripes spell the number of each frame, so that the right one shows."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
N_BITS = 8
CONTAINERS = {
    "mp4": ("mp4", "libx264"),
    "mov": ("mov", "mpeg4"),
    "mkv": ("matroska", "libx264"),
    "webm": ("webm", "libvpx-vp9"),
    "avi": ("avi", "mpeg4"),
}
"""Container -> FFmpeg's muxer and encoder."""


def picture(number: int, width: int, height: int) -> Pixels:
    """Stripes in the upper half; a square moves through the lower half."""
    pixels = np.full((height, width, 3), 90, np.uint8)
    for bit in range(N_BITS):
        left, right = bit * width // N_BITS, (bit + 1) * width // N_BITS
        pixels[: height // 2, left:right] = 255 if number >> bit & 1 else 0
    left = number * 3 % (width * 3 // 4)
    pixels[height * 5 // 8 : height * 7 // 8, left : left + width // 4] = (220, 40, 30)
    return pixels


def number_in(pixels: Pixels) -> int:
    """Read back from any size, upright only."""
    height, width = pixels.shape[:2]
    row = pixels[height // 8 : height * 3 // 8].mean((0, 2))
    bits = [
        row[bit * width // N_BITS + width // 32 : (bit + 1) * width // N_BITS - width // 32] for bit in range(N_BITS)
    ]
    return sum(1 << bit for bit, stripe in enumerate(bits) if stripe.mean() > 128)


@cache
def clip(
    container: str = "mp4",
    *,
    n_frames: int = 40,
    first: int = 0,
    size: tuple[int, int] = (160, 96),
    gop: int = 12,
    turned_deg: int = 0,
    times_ms: Sequence[int] | None = None,
    sound_s: float = 0.0,
    codec: str | None = None,
    pixels: str = "yuv420p",
    mux: tuple[tuple[str, str], ...] = (),
    coding: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """A whole file at 25 frames a second, or with frames at `times_ms`.

    Args:
        first: Number that stands in the first frame.
        turned_deg: Clockwise; the coded pictures lie on their side, and the container says how to turn them.
    """
    muxer, default_codec = CONTAINERS[container]
    rate = 1000 if times_ms else 25
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "clip")
        with av.open(str(path), "w", format=muxer, options=dict(mux)) as output:
            stream = output.add_stream(codec or default_codec, rate=rate, options=dict(coding))
            stream.pix_fmt = pixels
            stream.width, stream.height = size if turned_deg % 180 == 0 else size[::-1]
            stream.codec_context.gop_size = gop
            if turned_deg:
                stream.set_display_rotation(-turned_deg)
            sound = output.add_stream("flac" if muxer == "matroska" else "aac", rate=16_000) if sound_s else None
            for number in range(n_frames):
                coded = np.ascontiguousarray(np.rot90(picture(first + number, *size), turned_deg // 90))
                frame = av.VideoFrame.from_ndarray(coded, "rgb24")
                frame.pts, frame.time_base = times_ms[number] if times_ms else number, Fraction(1, rate)
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
            if sound is not None:
                silence = np.zeros((1, int(16_000 * sound_s)), np.int16 if muxer == "matroska" else np.float32)
                heard = av.AudioFrame.from_ndarray(silence, "s16" if muxer == "matroska" else "fltp", "mono")
                heard.sample_rate, heard.pts = 16_000, 0
                output.mux(sound.encode(heard))
                output.mux(sound.encode(None))
        return path.read_bytes()


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content) + 8) + kind + content


def with_box(data: bytes, path: Sequence[bytes], content: bytes) -> bytes:
    """An ISO file whose first box at `path` holds `content` instead; sizes of the boxes around it follow."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind == path[0]:
            inner = with_box(data[at + 8 : at + size], path[1:], content) if len(path) > 1 else content
            return data[:at] + box(kind, inner) + data[at + size :]
        at += size
    raise KeyError(path[0])


def alias(path: str) -> bytes:
    """A data reference as QuickTime writes it: the pictures lie in another file, at `path`."""
    name = path.rpartition("/")[2].encode()
    record = bytes(10) + b"\0" + bytes(27) + bytes(12) + bytes([len(name)]) + name.ljust(63, b"\0") + bytes(16)
    record += struct.pack(">HH", 1, 1) + bytes(16)
    absolute = path.replace("/", ":").encode()
    record += (
        struct.pack(">HH", 2, len(absolute)) + absolute + b"\0" * (len(absolute) % 2) + struct.pack(">HH", 0xFFFF, 0)
    )
    return struct.pack(">II", 0, 1) + box(b"alis", bytes(4) + record)
