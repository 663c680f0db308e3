"""Samples that are read as they are asked for, again from the start each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from judge.sources.sample import Sample


@dataclass(frozen=True, slots=True)
class SampleStream:
    """Every iteration reads the source anew and gives the same samples in the same order.

    What the source names and does not hold is a sample with a `problem`. A table that is broken in its midst raises
    ConfigError there: its rows cannot be told apart any more.

    Attributes:
        name: For people: the source as it was given, or the card and the split.
        read: Begins an iteration.
        total: Number of samples where that is cheaply known.
        card: Name of the dataset card that interprets the source; empty for none.
        digest: Of that card; empty for none.
    """

    name: str
    read: Callable[[], Iterator[Sample]]
    total: int | None = None
    card: str = ""
    digest: str = ""

    def __iter__(self) -> Iterator[Sample]:
        return self.read()
