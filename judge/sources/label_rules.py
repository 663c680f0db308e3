"""What makes a row harmful, as rules that cards choose from and fill in. Nothing is guessed: what a rule does not know
is a label that cannot be read.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from judge.config import Settings
from judge.errors import quoted
from judge.sources.readers.table import as_text

LEFT_OUT = "left out by the card: "
"""How the problem of a row begins that its card leaves out on purpose."""
UNREADABLE = "the label cannot be read: "
"""How the problem of a row begins whose label says nothing that the rule knows."""
_WRAPPING = " \t\r\n.\"'"
Read = Callable[[str], JsonValue]
"""A row's cell by its column."""
Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """What a rule made of a row; `kinds` are the values that it counted."""

    harmful: bool | None
    problem: str = ""
    kinds: tuple[str, ...] = ()


class ByValue(Settings):
    """The words of a column, whatever their case and the quotes and full stops around them."""

    rule: Literal["values"]
    """Tag of the union."""
    column: str
    """Where they stand."""
    harmful: Annotated[Names, Field(min_length=1)]
    """Words for harmful."""
    unharmful: Annotated[Names, Field(min_length=1)]
    """Words for unharmful; any other word is a label that cannot be read."""

    def read(self, cell: Read) -> Label:
        said = as_text(cell(self.column))
        word = bare(said)
        if word in map(bare, self.harmful):
            return Label(True)
        return Label(False) if word in map(bare, self.unharmful) else unreadable(self.column, said)


class Threshold(Settings):
    """A number below `low` or above `high`; what lies between, bounds included, is left out."""

    rule: Literal["threshold"]
    """Tag of the union."""
    column: str
    """Where the number stands."""
    low: float
    """The lower bound."""
    high: float
    """The upper bound."""
    harmful: Literal["low", "high"]
    """Which side is harmful."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError("`low` lies above `high`")
        return self

    def read(self, cell: Read) -> Label:
        said = as_text(cell(self.column))
        try:
            value = float(said)
        except ValueError:
            value = math.nan
        if math.isnan(value):
            return unreadable(self.column, said)
        if self.low <= value <= self.high:
            return Label(None, f"{LEFT_OUT}{self.column} {said} lies between {self.low:g} and {self.high:g}")
        return Label((value < self.low) == (self.harmful == "low"))


class Votes(Settings):
    """What enough raters said; a cell may hold several values, separated by commas."""

    rule: Literal["votes"]
    """Tag of the union."""
    columns: Annotated[Names, Field(min_length=1)]
    """One for each rater; an empty cell is no vote."""
    at_least: Annotated[int, Field(ge=1)]
    """Raters that must agree."""
    unharmful: Names
    """Values that are no harm. A row is unharmful if enough say these and no harm has enough."""
    known: Names = ()
    """All values there are; another makes the label unreadable. None = any."""

    def read(self, cell: Read) -> Label:
        votes: Counter[str] = Counter()
        for column in self.columns:
            values = {each.strip() for each in as_text(cell(column)).split(",") if each.strip()}
            if self.known and values - {*self.known}:
                return unreadable(column, min(values - {*self.known}))
            votes.update(values)
        agreed = sorted(value for value, count in votes.items() if count >= self.at_least)
        harm = tuple(value for value in agreed if value not in self.unharmful)
        if harm or agreed:
            return Label(bool(harm), kinds=harm)
        return Label(
            None, f"{LEFT_OUT}no value has {self.at_least} raters" if votes else f"{UNREADABLE}no rater said anything"
        )


class Listed(Settings):
    """A list of kinds of harm: any makes the row harmful, none unharmful. A list that is not there cannot be read."""

    rule: Literal["listed"]
    """Tag of the union."""
    column: str
    """A list, or text."""
    separator: str = ","
    """Between the values of a text."""
    unharmful: Names = ()
    """Values that stand for no harm."""
    known: Names = ()
    """All values there are; another makes the label unreadable. None = any."""

    def read(self, cell: Read) -> Label:
        value = cell(self.column)
        if value is None:
            return unreadable(self.column, "")
        values = [as_text(each) for each in value] if isinstance(value, list) else as_text(value).split(self.separator)
        kinds = tuple(dict.fromkeys(each.strip() for each in values if each.strip()))
        unknown = [each for each in kinds if self.known and each not in {*self.known, *self.unharmful}]
        if unknown or isinstance(value, dict):
            return unreadable(self.column, unknown[0] if unknown else "an object")
        harm = tuple(each for each in kinds if each not in self.unharmful)
        return Label(bool(harm), kinds=harm)


class Constant(Settings):
    """Every row is the same."""

    rule: Literal["all"]
    """Tag of the union."""
    harmful: bool
    """What they are."""

    def read(self, cell: Read) -> Label:
        return Label(self.harmful)


class NoLabel(Settings):
    """Nothing says what is harmful; the set is for judging, not for measuring against."""

    rule: Literal["none"]
    """Tag of the union."""

    def read(self, cell: Read) -> Label:
        return Label(None)


LabelRule = Annotated[ByValue | Threshold | Votes | Listed | Constant | NoLabel, Field(discriminator="rule")]


def unreadable(column: str, said: str) -> Label:
    return Label(None, f"{UNREADABLE}{column} is {quoted(said) if said else 'empty'}")


def bare(word: str) -> str:
    """In lower case, without what often stands around words of a table."""
    return word.strip(_WRAPPING).lower()
