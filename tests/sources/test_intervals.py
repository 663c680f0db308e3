"""When a video is harmful: the spellings of a card's column, and everything that is none of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import pytest
from pydantic import JsonValue

from judge.sources.intervals import IntervalRule
from judge.sources.sample import Intervals

Pairs = tuple[tuple[int, int], ...]


def read(said: JsonValue, unclear: JsonValue = None, end: Literal["excluded", "included"] = "excluded") -> Intervals:
    cells: Mapping[str, JsonValue] = {"when": said, "open": unclear}
    return IntervalRule(column="when", unclear="open", unit="ms", end=end).read(cells.get)


@pytest.mark.parametrize(
    ("said", "pairs"),
    [
        ("10 20 30 45", ((10, 20), (30, 45))),
        (" 10,20;\t30\n45 ", ((10, 20), (30, 45))),
        ([[30, 45], [10, 20.0]], ((10, 20), (30, 45))),
        ([["10", "20"]], ((10, 20),)),
        ({"a": [[5, 6]], "b": "1 2", "c": [], "d": None}, ((1, 2), (5, 6))),
        ("0 1", ((0, 1),)),
    ],
)
def test_spellings(said: JsonValue, pairs: Pairs) -> None:
    assert read(said) == Intervals(unit="ms", harmful=pairs)


def test_the_last_may_be_included() -> None:
    assert read("10 20 30 30", end="included") == Intervals(unit="ms", harmful=((10, 21), (30, 31)))
    assert read("10 9", end="included") == Intervals(unit="ms", problem="when: 10 to 9 ends before it begins")


@pytest.mark.parametrize("said", [None, "", "  ", [], {}, {"a": []}])
def test_nothing_is_said(said: JsonValue) -> None:
    assert read(said) == Intervals(unit="ms")
    assert read(said, [[1, 2]]) == Intervals(unit="ms", unclear=((1, 2),))


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("10", "1 numbers, an odd one"),
        ("10 20 30", "3 numbers, an odd one"),
        ("10 x", "'x' is no number"),
        ("-1 5", "'-1' is no number"),
        ("1.5 5", "'1.5' is no number"),
        ("1 9999999999999", "is no number"),
        ("\u0661 \u0662", "is no number"),
        ("5 5", "5 to 5 ends before it begins"),
        ([[1, 2, 3]], "is no pair"),
        ([1, 2], "is no pair"),
        ([[1, None]], "is no number"),
        ([[True, 2]], "is no number"),
        ([[math.nan, 2]], "is no number"),
        ([[1, math.inf]], "is no number"),
        ([[1e300, 2e300]], "is no number"),
        (7, "is no pair"),
        (True, "is no pair"),
        ({"a": {"b": 3.5}}, "is no pair"),
        (" ".join(f"{n} {n + 1}" for n in range(100_001)), "100001 pairs, of 100000 at most"),
    ],
)
def test_what_is_none_is_told_and_nothing_of_it_counts(said: JsonValue, problem: str) -> None:
    for found in (read(said), read([[1, 2]], said)):
        assert (found.harmful, found.unclear) == ((), ())
        assert problem in found.problem
        assert len(found.problem) < 300
