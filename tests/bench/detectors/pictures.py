"""Media for tests of detectors."""

from __future__ import annotations

import numpy as np

from judge.types import Frame, Media


def picture(seed: int, size: tuple[int, int] = (40, 48)) -> Media:
    """Blocks of colour: noise of single pixels looks alike to every network once it is made small."""
    return Media(f"{seed:064x}", "image", (_frame(seed, 0, size),), 0.0, f"picture-{seed}.png")


def animation(*seeds: int) -> Media:
    frames = tuple(_frame(seed, index, (40, 48)) for index, seed in enumerate(seeds))
    return Media(f"{sum(seeds):064x}", "video", frames, 0.1 * len(seeds), "animation.gif")


def text() -> Media:
    return Media("f" * 64, "text", (), 0.0, "words.txt", text="some words")


def pixels(media: Media) -> np.ndarray:
    return np.asarray(media.frames[0].image)


def _frame(seed: int, index: int, size: tuple[int, int]) -> Frame:
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    height, width = size
    rows, columns = np.arange(height) * 5 // height, np.arange(width) * 6 // width
    return Frame(index, index / 10, blocks[rows][:, columns])
