"""Dataset cards: what a set's files mean, as data. Generic readers interpret them; a set needs no code of its own.

Columns are named as in the table; `a.b` is the field `b` of the column `a`, `a.0` the first of a list, `side.b` the
column `b` of the joined table `side`. Made for every row are `$row` (its number from 0), `$key` (its key in an object
of objects), `$file` (the table's path below the root), `$path`, `$name` and `$stem` (of the media as the row names
it), `$split` and `$card`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from judge.config import Settings
from judge.sources.categories import Category
from judge.sources.intervals import IntervalRule
from judge.sources.label_rules import LabelRule
from judge.types import Modality


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from error
    return pattern


Pattern = Annotated[str, AfterValidator(_compiles)]
Names = tuple[str, ...]


class TableRows(Settings):
    """Rows are those of tables; the suffix of a file says its format."""

    reader: Literal["table"]
    """Tag of the union."""
    files: Names = ()
    """Paths or globs below the root; `{split}` stands for the split."""
    by_split: Mapping[str, Names] = Field(default_factory=dict)
    """Files of splits whose names follow no rule, instead of `files`."""
    below: str = ""
    """Where the rows are in a JSON file, e.g. `data.items`; empty = at the top."""
    sheet: str = ""
    """Of an Excel file; empty = the first."""
    line_pattern: Pattern = ""
    """Of a text file: every line is a row, and the named groups are its columns."""


class FileRows(Settings):
    """Rows are media files themselves; there is no table."""

    reader: Literal["files"]
    """Tag of the union."""
    files: Names = ()
    """Globs below the root; `{split}` stands for the split."""
    by_split: Mapping[str, Names] = Field(default_factory=dict)
    """As for tables."""
    path_pattern: Pattern = ""
    """Searched in the path below the root; its named groups are columns. A file it is not found in is a problem."""
    boxes: str = ""
    """Where the YOLO file of a picture lies, e.g. `labels/{stem}.txt`; its classes are the column `classes`."""
    classes: Names = ()
    """Names of the YOLO classes, by number."""


Rows = Annotated[TableRows | FileRows, Field(discriminator="reader")]


class Join(Settings):
    """A further table, joined to the rows by a key; rows without a partner lack its columns."""

    name: str
    """What its columns are called by: `name.column`."""
    rows: TableRows
    """Its files; they may be missing."""
    key: str
    """Its column that identifies a row."""
    to: str
    """The column of the rows that holds the same."""


class Derived(Settings):
    """A column made from another; empty where the pattern is not found."""

    column: str
    """Where to look."""
    pattern: Pattern
    """Searched; the first group is the new cell, or the whole match."""


class MediaRule(Settings):
    """How a row leads to its media. Rows of files are their own media."""

    columns: Names = ()
    """The first of them that is not empty names the media, or holds its bytes."""
    at: Names = ("{cell}",)
    """Where it lies below the root, tried in order: `{cell}`, `{split}`, wildcards."""
    suffixes: Names = ()
    """Tried behind names that have no suffix of media."""
    by_base_name: bool = False
    """Where nothing lies there: any media below the root with the same base name, if there is just one."""
    pick: Literal["only", "last"] = "only"
    """Of several files that fit a wildcard: none, or the last in natural order."""


class Kinds(Settings):
    """Which column says what kind of harm a row shows."""

    columns: Names
    """The first that is not empty."""
    separator: str = ""
    """Between several kinds in a cell; empty = one kind, or a list."""
    of_unharmful: bool = False
    """Read for unharmful rows as well, where their label is about that kind only."""


class OriginRule(Settings):
    """What shows something real and what was generated; patterns are searched, real ones first."""

    columns: Names = ("$name",)
    """The first that is not empty."""
    real: Pattern = ""
    """Empty = never."""
    synthetic: Pattern = ""
    """Empty = never."""


class Card(Settings):
    """One data set."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    """Name of the card, and of its file."""
    title: str
    """As its authors call it."""
    home: str
    """Where it is published."""
    revision: str = ""
    """The version that the card describes; empty = not known."""
    obtain: str
    """How to get the files, and how to lay them out below the root."""
    licence: str
    """Of the data; `not known` where it is not."""
    citation: str
    """Of the paper."""
    checked: str
    """What the card was checked against."""
    modality: Modality
    """Of its media."""
    splits: Annotated[Names, Field(min_length=1)]
    """At least one."""
    unlabelled: Names = ()
    """Splits whose labels are not to be read."""
    rows: Rows
    """Where the rows are."""
    joins: tuple[Join, ...] = ()
    """Further tables."""
    derived: Mapping[str, Derived] = Field(default_factory=dict)
    """Further columns, by name."""
    media: MediaRule = MediaRule()
    """How a row leads to media."""
    id: Names = ()
    """Columns that make up a row's id; none = the path of its media below the root."""
    text: Names = ()
    """What was posted with the media: those that are not empty, a line each."""
    label: LabelRule
    """What makes a row harmful."""
    doubts: Mapping[str, Mapping[str, str]] = Field(default_factory=dict)
    """By column: values that make a label doubtful, and why; such a row has its label and a problem."""
    kinds: Kinds | None = None
    """Kinds of harm; None = what the label rule counted."""
    names: Mapping[str, str] = Field(default_factory=dict)
    """What a value of kinds stands for, e.g. a number."""
    categories: Mapping[str, tuple[Category, ...]] = Field(default_factory=dict)
    """Common names of the kinds, in any case; a kind that is not here has none."""
    category_words: bool = False
    """The kinds are free text: a category is taken where one of its words begins with the key. A guess by words."""
    origin: OriginRule | None = None
    """None = not known."""
    group: Names = ()
    """The first that is not empty: rows that share it belong together."""
    attributes: Mapping[str, str] = Field(default_factory=dict)
    """Columns to split results by, by a name of their own."""
    intervals: IntervalRule | None = None
    """When a video is harmful; None = the set does not say. A harmless video needs none."""
    ignore: Names = ()
    """Globs below the root of media that belongs to the set, but is no row."""
    sha256: Mapping[str, str] = Field(default_factory=dict)
    """Checksums of files below the root, by path."""
    metrics: Names = ()
    """What its authors report, and what to mind."""
    traps: Names = ()
    """What is easily read wrongly."""

    @model_validator(mode="after")
    def _files_are_known(self) -> Self:
        for split in self.splits:
            if not (self.rows.by_split.get(split) or self.rows.files):
                raise ValueError(f"split '{split}' has no files")
        unknown = ({*self.unlabelled} | {*self.rows.by_split}) - {*self.splits}
        if unknown:
            raise ValueError(f"'{min(unknown)}' is none of the splits")
        return self
