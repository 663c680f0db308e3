"""A table as every reader gives it: names of columns, and rows one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import JsonValue

from judge.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Row:
    """One row. With a `problem` it could not be read, and what cells there are may be wrong."""

    number: int
    cells: Mapping[str, JsonValue]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """Names of columns, and rows that are read as they are asked for.

    Attributes:
        where: Its path, or a URL that fsspec reads.
        columns: Top-level names; of tables whose rows differ, those of the first rows.
        rows: Begins an iteration; numbers count from 0.
        bytes_in: Columns or fields of columns that hold encoded media; rows leave them out.
        total: Number of rows where it is known.
    """

    where: str
    columns: tuple[str, ...]
    rows: Callable[[], Iterator[Row]]
    bytes_in: tuple[str, ...] = ()
    total: int | None = None


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file to read a table from; `where` is for messages and locators."""

    where: str
    open: Callable[[], BinaryIO]

    @classmethod
    def local(cls, path: Path) -> TableFile:
        return cls(str(path), lambda: _open(path))


def cell(cells: Mapping[str, JsonValue], name: str) -> JsonValue:
    """A cell by its column; `a.b` is the field `b` of `a`, `a.0` the first of a list. None if it is not there."""
    if name in cells:
        return cells[name]
    found: JsonValue = dict(cells)
    for part in name.split("."):
        if isinstance(found, dict):
            found = found.get(part)
        elif isinstance(found, list) and part.isdigit() and int(part) < len(found):
            found = found[int(part)]
        else:
            return None
    return found


def as_text(value: JsonValue) -> str:
    """A cell as text: empty for none or an object, `3` for 3.0 (tables hold whole numbers so), lists by commas."""
    match value:
        case None | dict():
            return ""
        case bool():
            return str(value).lower()
        case float() if value.is_integer():
            return str(int(value))
        case list():
            return ", ".join(as_text(each) for each in value)
        case _:
            return str(value)


def _open(path: Path) -> BinaryIO:
    try:
        if not path.is_file():  # a pipe would be waited for
            raise ConfigError(f"'{path}' is not a file" if path.exists() else f"'{path}' does not exist")
        return path.open("rb")
    except (OSError, ValueError) as error:
        raise ConfigError(f"'{path}' cannot be read: {getattr(error, 'strerror', None) or error}") from error
