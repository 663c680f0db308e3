"""Sticker pictures, each different from every other one in its bytes and in its pixels: no cache knows it."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from judge.assets import sample_media_path


def encoded(first: int, count: int) -> list[bytes]:
    """The sample pictures over and over, with their number written into the corner, as PNG."""
    paths = sorted(sample_media_path("demo").glob("*.png"))
    originals = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    return [_numbered(originals[number % len(originals)], number) for number in range(first, first + count)]


def _numbered(pixels: np.ndarray, number: int) -> bytes:
    changed = pixels.copy()
    changed[0, 0] = [number & 255, number >> 8 & 255, number >> 16 & 255]
    file = io.BytesIO()
    Image.fromarray(changed).save(file, "PNG", compress_level=1)
    return file.getvalue()
