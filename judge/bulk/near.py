"""Finds pictures that look like an earlier one: scaled, compressed again, a little brighter. For those who ask for it.

The hash is of low frequencies (DCT of a 32 x 32 grey picture, 8 x 8 of it, each above the median or not).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from judge.bulk.item import Bundle, Item
from judge.bulk.parts import Parts
from judge.bulk.seen import SeenNear

_SIDE, _KEPT = 32, 8


class NearDuplicates:
    """A step from bundle to bundle, in the order of reading. Videos and animations are never near duplicates.

    Args:
        written: The rows that are written already.
    """

    def __init__(self, written: Parts) -> None:
        self._seen = SeenNear()
        for row in written.all_rows():
            if row.near_hash and row.duplicate_of is None:
                self._seen.note(row.near_hash, "", row.index)

    def __call__(self, bundle: Bundle) -> Bundle:
        return replace(bundle, items=tuple(self._looked_up(item) for item in bundle.items))

    def close(self) -> None: ...

    def _looked_up(self, item: Item) -> Item:
        if item.media is None or len(item.media.frames) != 1 or item.sample.text:
            return item
        found = near_hash(item.media.frames[0].image)
        first = self._seen.first(found, "", item.index)
        if first is None:
            return replace(item, near_hash=found)
        return replace(item, near_hash=found, data=None, media=None, duplicate_of=first)


def near_hash(image: NDArray[np.uint8]) -> str:
    """64 bits in hex; of `(height, width, 3) uint8 RGB`."""
    grey = Image.fromarray(image).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    pixels = np.asarray(grey, dtype=np.float64)
    low = (_BASIS @ pixels @ _BASIS.T).ravel()
    bits = low > np.median(low[1:])  # the first is the brightness
    return f"{int(''.join('1' if bit else '0' for bit in bits), 2):016x}"


def _basis() -> NDArray[np.float64]:
    frequency, place = np.arange(_KEPT)[:, None], np.arange(_SIDE)[None, :]
    return np.cos(np.pi * frequency * (2 * place + 1) / (2 * _SIDE))


_BASIS = _basis()
