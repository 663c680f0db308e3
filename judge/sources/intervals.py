"""When in a video something harmful is seen, as a card's columns say it. What cannot be read is told, never guessed.

A column holds numbers in pairs of start and end: as text (`10 20 30 45`), as a list of pairs, or as an object with such
lists, e.g. one for each kind of harm; then all of them count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Literal

from pydantic import JsonValue

from judge.config import Settings
from judge.errors import quoted
from judge.sources.sample import Intervals, Span

_BETWEEN = re.compile(r"[\s,;]+")
_NUMBER = re.compile(r"[0-9]{1,12}")
"""Anything longer is no time in a video."""
_MOST_SPANS = 100_000


class IntervalRule(Settings):
    """Which columns say when a video is harmful."""

    column: str
    """Start and end of every harmful moment, in pairs."""
    unclear: str = ""
    """The same of moments that the set leaves open: these frames are neither harmful nor harmless."""
    unit: Literal["frames", "ms"]
    """Frames are counted from 0, as the video stores them."""
    end: Literal["excluded", "included"] = "excluded"
    """Whether the second number of a pair belongs to the moment."""

    def read(self, cell: Callable[[str], JsonValue]) -> Intervals:
        """Empty where the columns say nothing."""
        try:
            harmful = self._spans(self.column, cell(self.column))
            unclear = self._spans(self.unclear, cell(self.unclear)) if self.unclear else ()
        except ValueError as error:
            return Intervals(unit=self.unit, problem=str(error))
        return Intervals(unit=self.unit, harmful=harmful, unclear=unclear)

    def _spans(self, column: str, said: JsonValue) -> tuple[Span, ...]:
        more = 1 if self.end == "included" else 0
        spans = sorted((start, end + more) for start, end in _pairs(column, said))
        backwards = next(((start, end - more) for start, end in spans if start >= end), None)
        if backwards is not None:
            raise ValueError(f"{column}: {backwards[0]} to {backwards[1]} ends before it begins")
        if len(spans) > _MOST_SPANS:
            raise ValueError(f"{column}: {len(spans)} pairs, of {_MOST_SPANS} at most")
        return tuple(spans)


def _pairs(column: str, said: JsonValue) -> Iterator[Span]:
    match said:
        case None:
            return
        case str():
            numbers = [_number(column, each) for each in _BETWEEN.split(said.strip()) if each]
            if len(numbers) % 2:
                raise ValueError(f"{column}: {len(numbers)} numbers, an odd one, are no pairs")
            yield from zip(numbers[::2], numbers[1::2], strict=True)
        case dict():
            for value in said.values():
                if isinstance(value, dict):
                    raise ValueError(f"{column}: {quoted(str(value))} is no pair of start and end")
                yield from _pairs(column, value)
        case list():
            for pair in said:
                if not isinstance(pair, list) or len(pair) != 2:
                    raise ValueError(f"{column}: {quoted(str(pair))} is no pair of start and end")
                start, end = (_number(column, each) for each in pair)
                yield start, end
        case _:
            raise ValueError(f"{column}: {quoted(str(said))} is no pair of start and end")


def _number(column: str, said: JsonValue) -> int:
    text = str(int(said)) if isinstance(said, float) and said.is_integer() else str(said)
    if isinstance(said, bool) or not _NUMBER.fullmatch(text):
        raise ValueError(f"{column}: {quoted(text)} is no number")
    return int(text)
