"""What came before: exact keys, and hashes that are near."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from judge.bulk.near import near_hash
from judge.bulk.seen import NEAR_BITS, SeenKeys, SeenNear


def test_the_first_row_of_a_key_stays() -> None:
    seen = SeenKeys()
    keys = [f"{value:064x}" for value in (1, 2, 1, 2, 3, 1)]
    assert [seen.first(key, row) for row, key in enumerate(keys)] == [None, None, 0, 1, None, 0]
    assert seen.first(keys[0], 0) is None  # asked again about itself


@pytest.mark.parametrize("seed", range(20))
def test_every_hash_with_few_other_bits_is_found(seed: int) -> None:
    rng = np.random.default_rng(seed)
    value = int(rng.integers(2**63))
    flipped = value
    for bit in rng.choice(64, NEAR_BITS, replace=False):
        flipped ^= 1 << int(bit)
    seen = SeenNear()
    assert seen.first(f"{value:016x}", "", 0) is None
    assert seen.first(f"{flipped:016x}", "", 1) == 0
    assert seen.first(f"{flipped:016x}", "another text", 2) is None
    far = value ^ (2 ** (NEAR_BITS + 1) - 1)
    assert seen.first(f"{far:016x}", "", 3) is None


def test_the_earliest_of_several_near_ones_counts() -> None:
    seen = SeenNear()
    seen.note("0" * 16, "", 7)
    seen.note(f"{1:016x}", "", 4)
    assert seen.first(f"{3:016x}", "", 9) == 4


def picture(seed: int, side_px: int = 128) -> NDArray[np.uint8]:
    drawn = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(drawn).resize((side_px, side_px), Image.Resampling.BICUBIC))


def distance(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> int:
    return (int(near_hash(one), 16) ^ int(near_hash(other), 16)).bit_count()


@pytest.mark.parametrize("seed", range(5))
def test_a_scaled_or_brighter_picture_is_near_and_another_is_not(seed: int) -> None:
    first = picture(seed)
    smaller = np.asarray(Image.fromarray(first).resize((70, 70)))
    brighter = np.clip(first.astype(int) + 12, 0, 255).astype(np.uint8)
    assert distance(first, smaller) <= NEAR_BITS
    assert distance(first, brighter) <= NEAR_BITS
    assert distance(first, picture(seed + 100)) > 10
