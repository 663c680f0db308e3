"""Dense labels for the encoder: in each cell of the picture, what is there, what it touches, what it is close to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from judge.stickers.atlas import SIGN
from judge.stickers.render import owner_map
from judge.stickers.scene import CANVAS_PX, Scene, Sticker, relations
from judge.stickers.statements import SIGN_KIND_WORDS
from judge.stickers.vocabulary import ALL_SIGN_WORDS, CONCEPTS, concept, nouns, sign_kind

LABELS: tuple[str, ...] = (*(c.id for c in CONCEPTS), *ALL_SIGN_WORDS)
"""Concepts and sign words; the number after the last one means background."""
BACKGROUND = len(LABELS)
CELLS = 8
"""Cells along each side: one per image patch."""
_COVERED = 0.25
"""Share of a cell from which it speaks for the sticker on it."""
_NUMBER = {name: number for number, name in enumerate(LABELS)}
_TOUCHING = {"touching": 1.0, "unclear_touch": 0.5}
_CLOSE = {"touching": 1.0, "unclear_touch": 1.0, "near": 1.0, "unclear_near": 0.5}


@dataclass(frozen=True, slots=True)
class DenseLabels:
    """Attributes:
    shares: `(64, n_labels + 1) float32`: which share of the cell shows what; rows sum to one.
    contacts: `(64, 2 * n_labels) float32`: 1 where the cell's sticker touches / is close to one of that label,
        0.5 where geometry leaves it open.
    covered: `(64,) bool`, the cells that `contacts` is meant for.
    """

    shares: NDArray[np.float32]
    contacts: NDArray[np.float32]
    covered: NDArray[np.bool_]


def label_number(sticker: Sticker) -> int:
    """The label of a sticker: its concept, or the word of a sign."""
    return _NUMBER[sticker.variant if sticker.concept == SIGN else sticker.concept]


def label_words(number: int) -> tuple[str, ...]:
    """What a label is called: its nouns, then those of its classes; of a sign, its word and kind."""
    name = LABELS[number]
    if name in ALL_SIGN_WORDS:
        return ("sign", name, SIGN_KIND_WORDS[sign_kind(name)])
    return (*nouns(name), *(noun for wider in concept(name).classes for noun in nouns(wider)))


def dense_labels(scene: Scene) -> DenseLabels:
    """Labels of every cell. A scene without stickers is all background."""
    count = len(scene.stickers)
    if not count:
        return no_labels()
    side = CANVAS_PX // CELLS
    owners = owner_map(scene).reshape(CELLS, side, CELLS, side)
    each = np.stack([(owners == number).mean((1, 3)) for number in range(count)]).reshape(count, -1)
    numbers = np.array([label_number(s) for s in scene.stickers])
    shares = np.zeros((CELLS * CELLS, BACKGROUND + 1), np.float32)
    np.add.at(shares.T, numbers, each)
    shares[:, BACKGROUND] = 1 - each.sum(0)
    contacts = np.zeros((count, 2 * len(LABELS)), np.float32)
    for (i, j), relation in relations(scene).items():
        for a, b in ((i, j), (j, i)):
            for offset, table in ((0, _TOUCHING), (len(LABELS), _CLOSE)):
                at = offset + numbers[b]
                contacts[a, at] = max(contacts[a, at], table.get(relation, 0.0))
    covered = each.max(0) > _COVERED
    return DenseLabels(shares, np.where(covered[:, None], contacts[each.argmax(0)], 0), covered)


def no_labels() -> DenseLabels:
    """Labels of a picture without stickers."""
    cells = CELLS * CELLS
    shares = np.zeros((cells, BACKGROUND + 1), np.float32)
    shares[:, BACKGROUND] = 1
    return DenseLabels(shares, np.zeros((cells, 2 * len(LABELS)), np.float32), np.zeros(cells, np.bool_))
