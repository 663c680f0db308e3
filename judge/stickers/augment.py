"""Changes of colour, sharpness and grain that training pictures go through, so that art styles matter less."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter


def augment(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """`(height, width, 3) uint8 RGB` in and out; half of the pictures stay as they are."""
    if rng.random() < 0.5:
        return image
    if rng.random() < 0.3:
        image = _refocus(image, rng)
    pixels: NDArray[np.floating] = image.astype(np.float32)
    if rng.random() < 0.25:
        grey = pixels @ np.array([0.3, 0.59, 0.11], np.float32)
        share = rng.uniform(0.3, 1.0)
        pixels = pixels * (1 - share) + grey[..., None] * share
    if rng.random() < 0.6:
        pixels = (pixels - 128) * rng.uniform(0.6, 1.3) + 128 + rng.uniform(-30, 30)
        pixels = pixels * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    if rng.random() < 0.12:
        levels = rng.integers(4, 9)
        pixels = np.round(pixels / 255 * levels) * (255 / levels)
    if rng.random() < 0.2:
        pixels = pixels + rng.normal(0, rng.uniform(2, 12), pixels.shape).astype(np.float32)
    return pixels.clip(0, 255).astype(np.uint8)


def _refocus(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Blur, sharpen, draw outlines, or lose resolution."""
    picture = Image.fromarray(image)
    kind = rng.integers(4)
    if kind == 0:
        picture = picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.4, 0.9))))
    elif kind == 1:
        picture = picture.filter(ImageFilter.UnsharpMask(2, int(rng.integers(80, 250)), 2))
    elif kind == 2:
        picture = picture.filter(ImageFilter.EDGE_ENHANCE_MORE)
    else:
        small = int(image.shape[1] * rng.uniform(0.65, 0.95))
        picture = picture.resize((small, small), Image.Resampling.BILINEAR)
        picture = picture.resize((image.shape[1], image.shape[0]), Image.Resampling.BILINEAR)
    return np.asarray(picture)


def augment_alike(images: Sequence[NDArray[np.uint8]], rng: np.random.Generator) -> list[NDArray[np.uint8]]:
    """Frames of one clip, which all go through the same changes."""
    seed = int(rng.integers(2**31))
    return [augment(image, np.random.default_rng(seed)) for image in images]
