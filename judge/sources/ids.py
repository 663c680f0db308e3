"""Unique ids for streams of any length, without keeping the ids."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from judge.sources.sample import Sample

_FRESH = 1 << 16


class SeenIds:
    """A set of ids that can only grow; 8 bytes for each.

    Two ids may be taken for one (once in about 100,000 streams of ten million): that only lengthens a name.
    """

    def __init__(self) -> None:
        self._fresh: set[int] = set()
        self._sorted: list[NDArray[np.uint64]] = []

    def add(self, id: str) -> bool:
        """Whether it is new."""
        digest = int.from_bytes(hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).digest())
        if digest in self._fresh or any(_holds(each, digest) for each in self._sorted):
            return False
        self._fresh.add(digest)
        if len(self._fresh) >= _FRESH:
            self._settle()
        return True

    def _settle(self) -> None:
        """Arrays that are no longer than what is put on them are merged, so that there are few."""
        merged = np.fromiter(sorted(self._fresh), dtype=np.uint64, count=len(self._fresh))
        self._fresh = set()
        while self._sorted and len(self._sorted[-1]) <= len(merged):
            merged = np.sort(np.concatenate([self._sorted.pop(), merged]))
        self._sorted.append(merged)


def unique(samples: Iterable[Sample], again: Callable[[Sample], Sample] = lambda sample: sample) -> Iterator[Sample]:
    """The samples, each with an id of its own: what comes again gets its place in the stream behind a `#`.

    Args:
        again: What becomes of a sample whose id came before.
    """
    seen = SeenIds()
    for place, sample in enumerate(samples):
        if seen.add(sample.id):
            yield sample
        else:
            id = f"{sample.id}#{place}"
            while not seen.add(id):
                id += "'"
            yield again(sample).model_copy(update={"id": id})


def _holds(array: NDArray[np.uint64], digest: int) -> bool:
    place = int(np.searchsorted(array, np.uint64(digest)))
    return place < len(array) and int(array[place]) == digest
