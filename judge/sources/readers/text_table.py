"""Text files whose lines are rows, by a pattern with named groups."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing

from judge.errors import quoted
from judge.sources.readers.table import Row, Table, TableFile
from judge.sources.text import read_lines


def read_text_lines(file: TableFile, pattern: str) -> Table:
    """Empty lines are skipped; a line that the pattern does not fit is a row with a problem."""
    compiled = re.compile(pattern)
    return Table(file.where, tuple(compiled.groupindex), lambda: _rows(file, compiled))


def _rows(file: TableFile, pattern: re.Pattern[str]) -> Iterator[Row]:
    number = 0
    with closing(file.open()) as opened:
        for line in read_lines(opened, file.where):
            if not line.strip():
                continue
            found = pattern.search(line.strip())
            problem = "" if found else f"line {quoted(line.strip())} does not fit the card's pattern"
            yield Row(number, dict(found.groupdict()) if found else {}, problem)
            number += 1
