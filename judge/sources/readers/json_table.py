"""Tables of JSON: one object a line, a list of objects, or an object of objects keyed by id."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice

from pydantic import JsonValue

from judge.errors import ConfigError, quoted
from judge.sources.readers.table import Row, Table, TableFile, cell
from judge.sources.text import decode_text, read_lines

KEY = "$key"
"""The column that holds a row's key in an object of objects."""
_LARGEST_BYTES = 2**30
_ROWS_FOR_COLUMNS = 100


def read_jsonl(file: TableFile) -> Table:
    """A line that is no object is a row with a problem.

    Raises:
        ConfigError: It holds no line at all.
    """
    if next(_jsonl_rows(file), None) is None:
        raise ConfigError(f"'{file.where}' is empty")
    return Table(file.where, _columns(_jsonl_rows(file)), lambda: _jsonl_rows(file))


def read_json(file: TableFile, *, below: str = "") -> Table:
    """The whole file is held in memory.

    Args:
        below: Where the rows are in it, e.g. `data.items`; empty = at the top.

    Raises:
        ConfigError: It is too large, no JSON, or holds no rows there.
    """
    with closing(file.open()) as opened:
        data = opened.read(_LARGEST_BYTES + 1)
    if len(data) > _LARGEST_BYTES:
        raise ConfigError(f"'{file.where}' is larger than {_LARGEST_BYTES:,} bytes", hint="write it as JSON lines")
    try:
        content: JsonValue = json.loads(decode_text(data))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"'{file.where}' is no JSON: {error}") from error
    if below:
        content = cell(content, below) if isinstance(content, dict) else None
    rows = _json_rows(content, f"'{file.where}'" + (f" at {quoted(below)}" if below else ""))
    return Table(file.where, _columns(rows), lambda: iter(rows), total=len(rows))


def _columns(rows: Iterable[Row]) -> tuple[str, ...]:
    """Of the first rows together: they need not have the same."""
    return tuple(dict.fromkeys(name for row in islice(rows, _ROWS_FOR_COLUMNS) for name in row.cells))


def _json_rows(content: JsonValue, where: str) -> list[Row]:
    if isinstance(content, list):
        return [_row(number, each) for number, each in enumerate(content)]
    if isinstance(content, dict) and all(isinstance(each, dict) for each in content.values()):
        return [_row(number, each, {KEY: key}) for number, (key, each) in enumerate(content.items())]
    raise ConfigError(f"{where} holds no rows: a list of objects is needed, or an object of objects")


def _jsonl_rows(file: TableFile) -> Iterator[Row]:
    number = 0
    with closing(file.open()) as opened:
        for line in read_lines(opened, file.where):
            if not line.strip():
                continue
            try:
                yield _row(number, json.loads(line))
            except (ValueError, RecursionError) as error:
                yield Row(number, {}, f"row {number + 1} is no JSON: {quoted(str(error))}")
            number += 1


def _row(number: int, content: JsonValue, more: Mapping[str, JsonValue] | None = None) -> Row:
    if isinstance(content, dict):
        return Row(number, {**(more or {}), **content})
    return Row(number, more or {}, f"row {number + 1} is no JSON object")
