"""The truth of many statements about many scenes at once, for training: what `statements.Truth` says, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from judge.stickers.dense import LABELS, label_number
from judge.stickers.scene import Relation, Scene, relations
from judge.stickers.statements import Atom, Kind
from judge.stickers.vocabulary import ALL_SIGN_WORDS, members, sign_kind

MAX_PAIRS = 15
"""Of the six stickers that a scene has at most."""
_CODES: dict[Relation, int] = {"apart": 1, "unclear_near": 2, "near": 3, "unclear_touch": 4, "touching": 5}
_CAUSES = {"on_fire": "fire", "bleeding": "drop_of_blood"}


@dataclass(frozen=True, slots=True)
class SceneTable:
    """Scenes as arrays. A picture that is no scene has neither stickers nor pairs.

    Attributes:
        counts: `(n, n_labels) uint8`: stickers of each label.
        first, second: `(n, 15) uint8`: labels of a pair of stickers.
        relation: `(n, 15) uint8`: how they stand to each other; 0 where there is no further pair.
        is_scene: `(n,) bool`.
    """

    counts: NDArray[np.uint8]
    first: NDArray[np.uint8]
    second: NDArray[np.uint8]
    relation: NDArray[np.uint8]
    is_scene: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.counts)

    def rows(self, chosen: NDArray[np.int64]) -> SceneTable:
        """Those scenes, in that order."""
        return SceneTable(
            self.counts[chosen], self.first[chosen], self.second[chosen], self.relation[chosen], self.is_scene[chosen]
        )


@dataclass(frozen=True, slots=True)
class Truths:
    """`(statements, scenes) bool` each: what holds, and whether geometry decides it at all."""

    holds: NDArray[np.bool_]
    decided: NDArray[np.bool_]


def scene_table(scenes: Sequence[Scene | None]) -> SceneTable:
    """Of scenes of at most six stickers; None stands for a picture that is no scene."""
    table = SceneTable(
        np.zeros((len(scenes), len(LABELS)), np.uint8),
        np.zeros((len(scenes), MAX_PAIRS), np.uint8),
        np.zeros((len(scenes), MAX_PAIRS), np.uint8),
        np.zeros((len(scenes), MAX_PAIRS), np.uint8),
        np.array([scene is not None for scene in scenes], dtype=np.bool_),
    )
    for row, scene in enumerate(scenes):
        if scene is None:
            continue
        numbers = [label_number(sticker) for sticker in scene.stickers]
        np.add.at(table.counts[row], numbers, 1)
        for column, ((i, j), relation) in enumerate(relations(scene).items()):
            table.first[row, column], table.second[row, column] = numbers[i], numbers[j]
            table.relation[row, column] = _CODES[relation]
    return table


def truths(atoms: Sequence[Atom], table: SceneTable) -> Truths:
    """What each statement comes to in each scene."""
    found = [_truth(atom, table) for atom in atoms]
    return Truths(np.stack([holds for holds, _ in found]), np.stack([decided for _, decided in found]))


def _truth(atom: Atom, table: SceneTable) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    always = np.ones(len(table), np.bool_)
    if atom.kind == "stickers":
        return table.is_scene, always
    if atom.kind in {"touching", "next_to", "on_fire", "bleeding"}:
        return _pair(atom.kind, *_pair_names(atom), table)
    if atom.kind == "two":
        return table.counts[:, _members(atom.subject)].sum(1) > 1, always
    found = np.asarray((table.counts[:, _labels(atom.kind, atom.subject)] > 0).any(axis=1))
    return found, always


def _pair_names(atom: Atom) -> tuple[str, str]:
    return (_CAUSES[atom.kind], atom.subject) if atom.kind in _CAUSES else (atom.subject, atom.object)


def _pair(kind: Kind, subject: str, object_: str, table: SceneTable) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    a, b = _members(subject), _members(object_)
    meant = (a[table.first] & b[table.second]) | (b[table.first] & a[table.second])
    if kind == "next_to":
        holds, open_ = table.relation >= _CODES["near"], table.relation == _CODES["unclear_near"]
    else:
        holds, open_ = table.relation == _CODES["touching"], table.relation == _CODES["unclear_touch"]
    satisfied = np.asarray((meant & holds).any(axis=1))
    left_open = np.asarray((meant & open_).any(axis=1))
    return satisfied, satisfied | ~left_open


def _labels(kind: Kind, subject: str) -> NDArray[np.bool_]:
    if kind == "exists":
        return _members(subject)
    words = {
        "sign": set(ALL_SIGN_WORDS),
        "sign_word": {subject},
        "sign_kind": {word for word in ALL_SIGN_WORDS if sign_kind(word) == subject},
    }[kind]
    return np.array([label in words for label in LABELS])


@cache
def _members(name: str) -> NDArray[np.bool_]:
    wanted = members(name)
    return np.array([label in wanted for label in LABELS])
