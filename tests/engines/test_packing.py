"""Packed rows: who sees whom, who stands where, and how many go into one pass."""

from __future__ import annotations

import torch

from judge.engines.memory import PassBudget
from judge.engines.packing import pack


def test_questions_see_the_prefix_and_themselves_only() -> None:
    packing = pack([[(5, 6), (7,)], [(8,)]])
    mask = packing.seen(2)
    assert packing.ids.tolist() == [[5, 6, 7], [8, 8, 8]]
    assert packing.offsets[0].tolist() == [0, 1, 0]
    assert packing.last.tolist() == [[0, 1], [0, 2], [1, 0]]
    assert mask.shape == (2, 1, 3, 5)
    assert mask[0, 0].int().tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 0, 0, 1]]
    assert mask[1, 0, 0].int().tolist() == [1, 1, 1, 0, 0]


def test_a_row_without_questions_is_filling_that_still_sees_something() -> None:
    packing = pack([[(3, 4)], []])
    mask = packing.seen(0)
    assert packing.last.tolist() == [[0, 1]]
    assert mask[1, 0].any(dim=1).all()
    assert mask.dtype == torch.bool


def test_a_window_reaches_back_over_the_kept_end_of_the_prefix() -> None:
    """A prefix of 5 tokens, of which a layer with a window of 4 keeps the last 3."""
    mask = pack([[(5, 6, 7, 8, 9), (7, 8)]]).seen(5, n_kept=3, window=4)
    assert mask[0, 0].int().tolist() == [
        [1, 1, 1, 1, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 1, 0, 0, 0, 0, 0],
        [0, 0, 1, 1, 1, 1, 0, 0, 0, 0],
        [0, 0, 0, 1, 1, 1, 1, 0, 0, 0],
        [0, 0, 0, 0, 1, 1, 1, 1, 0, 0],
        [1, 1, 1, 0, 0, 0, 0, 0, 1, 0],
        [0, 1, 1, 0, 0, 0, 0, 0, 1, 1],
    ]


def test_the_vision_encoder_limits_the_images_of_a_pass() -> None:
    budget = PassBudget(1_000_000, token_bytes=100, pair_bytes=1, max_rows=8, patch_bytes=500, patch_values=600)
    assert budget.images(50) == 8
    assert budget.images(50, n_pixels=300 * 600) == 6
    assert budget.images(50, n_pixels=10_000 * 600) == 1


def test_a_budget_never_allows_nothing_and_never_more_than_it_has() -> None:
    tight = PassBudget(max_bytes=1, token_bytes=100, pair_bytes=10, max_rows=8)
    assert (tight.images(500), tight.rows(20, 500), tight.questions(20, 500, 4)) == (1, 1, 1)
    wide = PassBudget(max_bytes=1_000_000, token_bytes=100, pair_bytes=10, max_rows=8)
    assert wide.rows(10, 0) == 8
    assert wide.rows(100, 100) == 1_000_000 // (100 * 100 + 100 * 200 * 10 + 100 * 100)
    packed = wide.questions(10, 50, 2)
    assert 2 * (10 * packed * 100 + 10 * packed * (50 + 10 * packed) * 10) <= 1_000_000
    assert PassBudget(1 << 40, 100, 10, max_rows=8, wide_tokens=300).questions(10, 50, 2) == 16
    assert 2 * (20 * packed * 100 + 20 * packed * (50 + 20 * packed) * 10) > 1_000_000
