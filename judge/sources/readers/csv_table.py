"""Tables of comma- or tab-separated values, read strictly and line by line."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

from judge.errors import ConfigError, quoted
from judge.sources.readers.table import Row, Table, TableFile
from judge.sources.text import read_lines


def read_csv(file: TableFile, *, delimiter: str = ",") -> Table:
    """Open a table with a header; rows of another length are rows with a problem.

    Raises:
        ConfigError: It has no header, or a column twice; while rows are read: its quoting is broken.
    """
    with closing(file.open()) as opened:
        header = _header(file.where, csv.reader(read_lines(opened, file.where), strict=True, delimiter=delimiter))
    return Table(file.where, header, lambda: _rows(file, header, delimiter))


def _header(where: str, reader: Iterator[list[str]]) -> tuple[str, ...]:
    try:
        header = tuple(name.strip() for name in next(reader, []))
    except csv.Error as error:
        raise ConfigError(f"'{where}': its header cannot be read: {error}") from error
    if not any(header):
        raise ConfigError(f"'{where}' is empty: it has no header")
    twice = [name for name, count in Counter(header).items() if count > 1 and name]
    if twice:
        raise ConfigError(f"'{where}' has the column {quoted(twice[0])} twice")
    return header


def _rows(file: TableFile, header: tuple[str, ...], delimiter: str) -> Iterator[Row]:
    with closing(file.open()) as opened:
        reader = csv.reader(read_lines(opened, file.where), strict=True, delimiter=delimiter)
        try:
            next(reader, None)
            for number, cells in enumerate(each for each in reader if each):
                problem = "" if len(cells) == len(header) else f"{len(cells)} cells under {len(header)} columns"
                yield Row(number, dict(zip(header, cells, strict=False)), problem)
        except csv.Error as error:
            raise ConfigError(
                f"'{file.where}' breaks off at line {reader.line_num}: {error}",
                hint="a quote is missing or stands inside an unquoted cell",
            ) from error
