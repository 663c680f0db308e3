"""How alike the thumbnails of a video's frames are: cuts, stretches that look alike, near-duplicates. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from judge.types import Thumbnails

_PARTS = (6, 8)
"""Rows and columns of the parts in which near-duplicates are compared."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A stretch without a cut, as far as its thumbnails show: the frames of its first, last and middle thumbnail."""

    first: int
    last: int
    middle: int


def shots(thumbnails: Thumbnails, change: float) -> tuple[Shot, ...]:
    """Cut where two neighbouring thumbnails differ by `change` or more, as a mean over pixels and channels, of 1.

    A fade that is slower than the thumbnails' distance is no cut.
    """
    if not thumbnails.indices:
        return ()
    cuts = np.flatnonzero(_differences(thumbnails.images[1:], thumbnails.images[:-1]) >= change) + 1
    bounds = [0, *(int(cut) for cut in cuts), len(thumbnails.indices)]
    names = thumbnails.indices
    return tuple(Shot(names[a], names[b - 1], names[(a + b - 1) // 2]) for a, b in pairwise(bounds))


def stretches(thumbnails: Thumbnails, change: float) -> tuple[Shot, ...]:
    """Cut where two neighbouring thumbnails differ by `change` or more, of 1, in the part that differs most.

    A thing that comes, goes or jumps ends a stretch, which is no cut of the film. Stretches of one thumbnail that
    follow each other are one: something is moving there.
    """
    if not thumbnails.indices:
        return ()
    steps = steps_of(thumbnails)
    cuts = [place + 1 for place, step in enumerate(steps) if step >= change]
    bounds = [0, *cuts, len(thumbnails.indices)]
    joined = [bounds[0]]
    for before, here, after in zip(bounds, bounds[1:], bounds[2:], strict=False):
        if here - before > 1 or after - here > 1:
            joined.append(here)
    joined.append(bounds[-1])
    names = thumbnails.indices
    return tuple(Shot(names[a], names[b - 1], names[(a + b - 1) // 2]) for a, b in pairwise(joined))


def same_as(
    thumbnails: Thumbnails, indices: Sequence[int], below: float, *, judged: Collection[int] = ()
) -> dict[int, int]:
    """Which of the frames `indices` may take over the reading of which earlier one of them.

    A frame is compared with the last one that stands for itself, never with one that was taken over, so that slow
    changes do not add up. A frame without a thumbnail stands for itself, and so does one in `judged`: it has a reading
    of its own.

    Args:
        thumbnails: Of these frames, and perhaps of others.
        indices: Frames in question.
        below: Mean difference, of 1, in the part of the picture that differs most; 0 = no frame takes over anything.
            A part is a small share of the picture, so that a thing that comes or moves there counts.
        judged: Frames that have been judged before.
    """
    at = {index: place for place, index in enumerate(thumbnails.indices)}
    taken: dict[int, int] = {}
    standing: int | None = None
    for index in sorted(index for index in indices if index in at):
        alike = standing is not None and local_difference(thumbnails.images, at[standing], at[index]) < below
        if standing is not None and alike and index not in judged:
            taken[index] = standing
        else:
            standing = index
    return taken


def steps_of(thumbnails: Thumbnails) -> list[float]:
    """How much each thumbnail differs from the next, in the part that differs most."""
    return [local_difference(thumbnails.images, place, place + 1) for place in range(len(thumbnails.indices) - 1)]


def local_difference(images: NDArray[np.uint8], one: int, other: int) -> float:
    """The mean over pixels and channels in each of up to 6 x 8 parts of the picture; the largest of them."""
    change = np.abs(images[one].astype(np.int16) - images[other].astype(np.int16)).mean(-1)
    rows, columns = (_starts(length, parts) for length, parts in zip(change.shape, _PARTS, strict=True))
    sums = np.add.reduceat(np.add.reduceat(change, rows, axis=0), columns, axis=1)
    counts = np.outer(np.diff([*rows, change.shape[0]]), np.diff([*columns, change.shape[1]]))
    return float((sums / counts).max() / 255.0)


def _starts(length: int, parts: int) -> list[int]:
    """Where each of at most `parts` about equal stretches begins."""
    count = min(parts, length)
    return [length * number // count for number in range(count)]


def _differences(some: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean absolute difference of each pair of pictures, of 1."""
    apart = np.abs(some.astype(np.int16) - others.astype(np.int16))
    return np.asarray(apart.mean(axis=(1, 2, 3)) / 255.0, dtype=np.float64)
