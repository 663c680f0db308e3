"""Reads what `judge score --jsonl` wrote: every line is a row, or is named with what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from judge.errors import ConfigError
from judge.types import ScoreRow, Wire

MAX_LINE_BYTES = 16_000_000
"""A verdict on hundreds of rules with heat maps stays under it; a longer line is skipped without being kept."""


class BadLine(Wire):
    """A line that is no row."""

    line: int
    """1-based."""
    reason: str
    """What is wrong with it."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row, and the line that it stands on."""

    line: int
    row: ScoreRow


def read_rows(path: Path) -> Iterator[Row | BadLine]:
    """Rows in order, one at a time; empty lines are skipped.

    Raises:
        ConfigError: The file cannot be read.
    """
    for number, line in _lines(path):
        if line is None:
            yield BadLine(line=number, reason=f"is longer than {MAX_LINE_BYTES:,} bytes")
        elif line.strip():
            yield _row(number, line)


def _row(number: int, line: bytes) -> Row | BadLine:
    try:
        row = ScoreRow.model_validate_json(line.removeprefix(b"\xef\xbb\xbf"))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        message = re.sub(r" at line \d+ column \d+$", "", first["msg"])  # of this one line: no line of the file
        return BadLine(line=number, reason=f"{field}: {message}" if field else message)
    if (row.verdict is None) == (row.error is None):
        return BadLine(line=number, reason="has neither a verdict nor an error, or both")
    return Row(number, row)


def _lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """Numbered lines; None for one that is too long."""
    try:
        if path.exists() and not path.is_file():  # a folder, a pipe that never ends
            raise ConfigError(f"'{path}' is not a file", hint="name what 'judge score --jsonl' wrote")
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES):
                number += 1
                too_long = len(line) == MAX_LINE_BYTES and not line.endswith(b"\n")
                while too_long and line and not line.endswith(b"\n"):
                    line = file.readline(MAX_LINE_BYTES)
                yield number, None if too_long else line
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be read: {error.strerror}") from error
