"""Other pictures made from a frame, or instead of one: what a question is asked about for comparison. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image, ImageFilter

from judge.types import Frame, Region

if TYPE_CHECKING:
    from numpy.typing import NDArray

Fill = Literal["mean", "blur", "black"]

_REFERENCE_PX = 224
_NOISE_SEED = 20_241_231
_KEPT_SIGNAL = 0.5
"""`noised`: share of the picture's variance kept, by the variance-preserving mix of diffusion models."""
_MIN_CROP_PX = 16


NOTHING = Frame(0, 0.0, np.zeros((0, 0, 3), dtype=np.uint8))
"""Stands where a frame is expected and there is none: no engine is ever shown it."""


def blank_frame() -> Frame:
    """Plain gray, `(224, 224, 3)`."""
    return Frame(0, 0.0, np.full((_REFERENCE_PX, _REFERENCE_PX, 3), 128, dtype=np.uint8))


def noise_frame() -> Frame:
    """Uniform noise, the same for ever, `(224, 224, 3)`."""
    rng = np.random.default_rng(_NOISE_SEED)
    return Frame(0, 0.0, rng.integers(0, 256, (_REFERENCE_PX, _REFERENCE_PX, 3), dtype=np.uint8))


def noised(frame: Frame) -> Frame:
    """The frame mixed half and half, in variance, with Gaussian noise that is always the same.

    Source: the distorted picture of visual contrastive decoding (arXiv 2311.16922).
    """
    rng = np.random.default_rng(_NOISE_SEED)
    signal = frame.image.astype(np.float32) / 127.5 - 1.0
    noise = rng.standard_normal(signal.shape, dtype=np.float32)
    mixed = math.sqrt(_KEPT_SIGNAL) * signal + math.sqrt(1.0 - _KEPT_SIGNAL) * noise
    return _with_image(frame, ((np.clip(mixed, -1.0, 1.0) + 1.0) * 127.5).astype(np.uint8))


def occluded(frame: Frame, regions: Sequence[Region], fill: Fill = "mean") -> Frame:
    """The frame with all regions filled; every region covers at least one pixel."""
    image = frame.image.copy()
    filling = _filling(frame.image, fill)
    for region in regions:
        rows, columns = _slices(region, frame.image)
        image[rows, columns] = filling[rows, columns]
    return _with_image(frame, image)


def crop(frame: Frame, region: Region, margin: float = 0.25) -> Frame:
    """The region with a margin (share of its sides), enlarged to the frame's longest side; at least 16 px of it."""
    height, width = frame.image.shape[:2]
    dx, dy = margin * (region.right - region.left), margin * (region.bottom - region.top)
    left, right = _span(region.left - dx, region.right + dx, width, _MIN_CROP_PX)
    top, bottom = _span(region.top - dy, region.bottom + dy, height, _MIN_CROP_PX)
    scale = max(height, width) / max(right - left, bottom - top)
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    cut = Image.fromarray(np.ascontiguousarray(frame.image[top:bottom, left:right]))
    return _with_image(frame, np.asarray(cut.resize(size, Image.Resampling.BICUBIC)))


def _with_image(frame: Frame, image: NDArray[np.uint8]) -> Frame:
    return Frame(frame.index, frame.timestamp_s, image)


def _filling(image: NDArray[np.uint8], fill: Fill) -> NDArray[np.uint8]:
    """A whole picture to take the filling from."""
    if fill == "black":
        return np.zeros_like(image)
    if fill == "mean":
        mean = np.rint(image.reshape(-1, 3).mean(axis=0)).astype(np.uint8)
        return np.broadcast_to(mean, image.shape)
    radius = max(image.shape[:2]) / 8.0
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def _slices(region: Region, image: NDArray[np.uint8]) -> tuple[slice, slice]:
    height, width = image.shape[:2]
    return (
        slice(*_span(region.top, region.bottom, height, 1)),
        slice(*_span(region.left, region.right, width, 1)),
    )


def _span(low: float, high: float, size: int, least: int) -> tuple[int, int]:
    """Pixels from `low` to `high` (shares), inside the picture, at least `least` of them where it has so many."""
    first, last = max(0, math.floor(low * size + 1e-6)), min(size, math.ceil(high * size - 1e-6))
    missing = min(least, size) - (last - first)
    if missing > 0:
        first = max(0, min(first - missing // 2, size - min(least, size)))
        last = first + min(least, size)
    return first, last
