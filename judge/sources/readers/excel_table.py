"""Excel tables: the first sheet, or a named one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from zipfile import BadZipFile

from pydantic import JsonValue

from judge.errors import ConfigError, did_you_mean
from judge.sources.needs import need
from judge.sources.readers.table import Row, Table, TableFile


def read_excel(file: TableFile, *, sheet: str = "") -> Table:
    """Open a sheet, which is held in memory; empty rows are skipped.

    Raises:
        ConfigError: openpyxl is missing, it is no Excel file, or there is no such sheet.
    """
    rows = list(_cells(file, sheet))  # sheets hold a million rows at most
    if not rows:
        raise ConfigError(f"'{file.where}' is empty: it has no header")
    header = tuple("" if name is None else str(name).strip() for name in rows[0])
    found = [Row(number, dict(zip(header, each, strict=False))) for number, each in enumerate(rows[1:])]
    return Table(file.where, header, lambda: iter(found), total=len(found))


def _cells(file: TableFile, sheet: str) -> Iterator[list[JsonValue]]:
    openpyxl = need("openpyxl", "an Excel table", extra="bench")
    with closing(file.open()) as opened:
        try:
            book = openpyxl.load_workbook(opened, read_only=True, data_only=True)
        except (BadZipFile, KeyError, ValueError, OSError, openpyxl.utils.exceptions.InvalidFileException) as error:
            raise ConfigError(f"'{file.where}' cannot be read as an Excel table: {error}") from error
        if sheet and sheet not in book.sheetnames:
            raise ConfigError(f"'{file.where}' has no sheet '{sheet}'", hint=did_you_mean(sheet, book.sheetnames))
        for cells in (book[sheet] if sheet else book.worksheets[0]).iter_rows(values_only=True):
            if any(each is not None for each in cells):
                yield [each if isinstance(each, bool | int | float | str | None) else str(each) for each in cells]
