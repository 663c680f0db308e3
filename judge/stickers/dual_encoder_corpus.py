"""What the dual encoder is trained on: scenes of the training styles, and true and false statements about them.

Scenes come from the generator of the embedded model's training, never from a split that is reported or fitted on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import IterableDataset

from judge.stickers.augment import augment
from judge.stickers.dense import LABELS
from judge.stickers.distractors import draw_distractor
from judge.stickers.render import render as paint
from judge.stickers.sampling import draw_scene
from judge.stickers.scene import Scene
from judge.stickers.statements import Atom, Kind, render
from judge.stickers.streams import worker_generator
from judge.stickers.truth_table import SceneTable, scene_table
from judge.stickers.vocabulary import ALL_SIGN_WORDS, CLASSES, CONCEPTS, SIGN_WORDS, concept, sign_kind

DISTRACTOR_SHARE = 0.05
_DECORRELATED_SHARE = 0.5
"""Of the scenes: with half of them the planted bias is no shortcut."""
_TRUE_SHARE = 0.6
_STANDARD_SHARE = 0.5
_NAMES = (*(each.id for each in CONCEPTS), *CLASSES)
_CAUSES: dict[str, Kind] = {"fire": "on_fire", "drop_of_blood": "bleeding"}
_KINDS: tuple[Kind, ...] = ("exists", "next_to", "touching", "two", "on_fire", "bleeding", "sign_word", "sign_kind")
_KIND_SHARES = (0.3, 0.22, 0.22, 0.04, 0.06, 0.06, 0.06, 0.04)


@dataclass(frozen=True, slots=True)
class Pictures:
    """`pixels (n, 144, 144, 3) uint8`, and what is on them."""

    pixels: NDArray[np.uint8]
    table: SceneTable


class PictureStream(IterableDataset[Pictures]):
    """Endless batches of training pictures; every batch depends on (seed, worker, position) alone."""

    def __init__(self, seed: int, batch_size: int) -> None:
        self._seed, self._batch_size = seed, batch_size

    def __iter__(self) -> Iterator[Pictures]:
        rng = worker_generator(self._seed)
        while True:
            drawn = [_draw(rng) for _ in range(self._batch_size)]
            yield Pictures(np.stack([pixels for pixels, _ in drawn]), scene_table([scene for _, scene in drawn]))


def _draw(rng: np.random.Generator) -> tuple[NDArray[np.uint8], Scene | None]:
    if rng.random() < DISTRACTOR_SHARE:
        return draw_distractor(rng), None
    scene = draw_scene(rng, bias="decorrelated" if rng.random() < _DECORRELATED_SHARE else "correlated")
    return np.ascontiguousarray(augment(paint(scene), rng)), scene


class StatementDraw:
    """Draws the statements of a batch.

    Args:
        policy: Always among them, in the standard wording or in another one.
    """

    def __init__(self, policy: Sequence[Atom], rng: np.random.Generator) -> None:
        self._policy, self._rng = policy, rng

    def draw(self, table: SceneTable, count: int) -> list[tuple[Atom, str]]:
        """`count` statements beside those of the policy; six in ten are true of some scene of the batch."""
        others = [self._true_of_one(table) if self._rng.random() < _TRUE_SHARE else self._any() for _ in range(count)]
        return [(atom, self._sentence(atom)) for atom in (*self._policy, *others)]

    def _sentence(self, atom: Atom) -> str:
        if self._rng.random() < _STANDARD_SHARE:
            return render(atom)
        phrasing, subject, object_ = (int(number) for number in self._rng.integers(0, 60, 3))
        return render(atom, phrasing=phrasing, subject_noun=subject, object_noun=object_)

    def _true_of_one(self, table: SceneTable) -> Atom:
        row = int(self._rng.integers(len(table)))
        present = np.flatnonzero(table.counts[row])
        if not table.is_scene[row] or not len(present):
            return Atom("stickers")
        close = np.flatnonzero(table.relation[row] >= 3)
        if len(close) and self._rng.random() < 0.65:
            column = close[self._rng.integers(len(close))]
            pair = [LABELS[table.first[row, column]], LABELS[table.second[row, column]]]
            if not set(pair) & set(ALL_SIGN_WORDS):
                return self._about_pair(pair, touching=table.relation[row, column] == 5)
        label = LABELS[present[self._rng.integers(len(present))]]
        if label in ALL_SIGN_WORDS:
            return (Atom("sign_word", label), Atom("sign_kind", sign_kind(label)), Atom("sign"))[self._rng.integers(3)]
        return Atom("exists", self._widened(label))

    def _about_pair(self, pair: list[str], *, touching: bool) -> Atom:
        first, second = pair if self._rng.random() < 0.5 else pair[::-1]
        if touching and first in _CAUSES and self._rng.random() < 0.7:
            return Atom(_CAUSES[first], self._widened(second))
        kind: Kind = "touching" if touching and self._rng.random() < 0.6 else "next_to"
        return Atom(kind, self._widened(first), self._widened(second))

    def _any(self) -> Atom:
        kind = _KINDS[self._rng.choice(len(_KINDS), p=_KIND_SHARES)]
        if kind == "sign_word":
            return Atom(kind, self._one(ALL_SIGN_WORDS))
        if kind == "sign_kind":
            return Atom(kind, self._one(tuple(SIGN_WORDS)))
        first = self._widened(self._one(_NAMES))
        return Atom(kind, first, self._widened(self._one(_NAMES)) if kind in {"next_to", "touching"} else "")

    def _widened(self, name: str) -> str:
        """The concept itself, or one of its classes."""
        classes = () if name in CLASSES else concept(name).classes
        return self._one(classes) if classes and self._rng.random() < 0.5 else name

    def _one(self, options: tuple[str, ...]) -> str:
        return options[self._rng.integers(len(options))]


def statement_texts(seed: int, count: int = 20_000) -> Iterator[str]:
    """Sentences to train the tokenizer on."""
    draw = StatementDraw((), np.random.default_rng(seed))
    nothing = scene_table([None])
    for _ in range(count // 100):
        yield from (sentence for _, sentence in draw.draw(nothing, 100))
