"""Lays many questions out in one row behind a shared prefix, so that none sees another. Pure tensors, no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Packing:
    """Attributes:
    ids: `(rows, width) int64`; shorter rows are filled with their last token, which no question sees.
    offsets: `(rows, width) int64`: place within its own question, from 0; positions restart for every question.
    own: `(rows, width, width) bool`, True = an earlier token of the same question, or the token itself.
    last: `(questions, 2) int64`: row and column of each question's last token, in the order given.
    """

    ids: Tensor
    offsets: Tensor
    own: Tensor
    last: Tensor

    def seen(self, n_prefix: int, *, n_kept: int | None = None, window: int | None = None) -> Tensor:
        """The mask: the prefix, and the question's own earlier tokens.

        Args:
            n_prefix: Tokens of the prefix.
            n_kept: How many of them, the last ones, a layer still has; None = all.
            window: Of how many tokens, itself included, a token sees the last; None = of all.

        Returns:
            `(rows, 1, width, n_kept + width) bool`, True = seen.
        """
        first = 0 if n_kept is None else n_prefix - n_kept
        back = self.offsets[:, :, None] + torch.arange(n_prefix - first, 0, -1)
        own_back = self.offsets[:, :, None] - self.offsets[:, None, :]
        limit = n_prefix + self.ids.shape[1] + 1 if window is None else window
        return torch.cat([back < limit, self.own & (own_back < limit)], dim=2)[:, None]


def pack(rows: Sequence[Sequence[Sequence[int]]]) -> Packing:
    """Rows of questions of token ids, none empty; a row without questions is all filling."""
    width = max(sum(len(question) for question in row) for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.int64)
    offsets = torch.zeros_like(ids)
    owner = torch.full_like(ids, -1)
    last: list[tuple[int, int]] = []
    for number, row in enumerate(rows):
        at = 0
        for name, question in enumerate(row):
            end = at + len(question)
            ids[number, at:end] = torch.tensor(question)
            offsets[number, at:end] = torch.arange(len(question))
            owner[number, at:end] = name
            last.append((number, end - 1))
            at = end
        ids[number, at:] = row[-1][-1] if row else 0
    causal = torch.ones(width, width, dtype=torch.bool).tril()
    own = (owner[:, :, None] == owner[:, None, :]) & causal
    return Packing(ids, offsets, own, torch.tensor(last))
