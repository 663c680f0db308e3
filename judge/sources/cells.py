"""Reads encoded media out of Parquet and Arrow files, one cell at a time.

A reader stays at its place, so that rows asked for in order are each decoded once; each thread has its own.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, cast

from judge.errors import ConfigError, MediaError
from judge.sources.needs import need
from judge.sources.paths import url_scheme
from judge.sources.readers.arrow_table import open_arrow
from judge.sources.readers.table import TableFile
from judge.sources.remote import open_url
from judge.sources.sample import TableCell

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_MOST_OPEN = 4
_BATCH_ROWS = 8
_PAGE_BYTES = 2**20


def read_cell(cell: TableCell) -> bytes:
    """The bytes of a cell; empty if it is null.

    Raises:
        MediaError: The file cannot be read, or has no such row or column.
    """
    named = f"row {cell.row} of '{cell.path}'"
    key = (cell.path, cell.column)
    readers = _readers()
    try:
        if key not in readers:
            readers[key] = _open(cell)
            if len(readers) > _MOST_OPEN:
                readers.popitem(last=False)[1].close()
        readers.move_to_end(key)
        return readers[key].read(cell.row)
    except ConfigError as error:
        raise MediaError(f"{named}: {error.message}", hint=error.hint) from error
    except Exception as error:  # pyarrow's, and of any file system beneath it
        readers.pop(key, None)
        raise MediaError(f"{named}, column '{cell.column}': {error or type(error).__name__}") from error


class _ParquetCells:
    """A place in one column of a file, moved forward row by row; going back begins the row group again."""

    def __init__(self, file: pq.ParquetFile, column: str, close: Callable[[], None]) -> None:
        self._file, self._column, self.close = file, column, close
        self._starts = [0]
        for group in range(file.metadata.num_row_groups):
            self._starts.append(self._starts[-1] + file.metadata.row_group(group).num_rows)
        self._cells: Iterator[bytes | None] = iter(())
        self._next = self._end = 0

    def read(self, row: int) -> bytes:
        if not 0 <= row < self._starts[-1]:
            raise IndexError(f"the file has {self._starts[-1]} rows")
        if not self._next <= row < self._end:
            group = next(each for each, end in enumerate(self._starts[1:]) if row < end)
            self._next, self._end = self._starts[group], self._starts[group + 1]
            self._cells = self._group(group)
        while self._next <= row:
            found = next(self._cells)
            self._next += 1
        return found or b""

    def _group(self, group: int) -> Iterator[bytes | None]:
        for batch in self._file.iter_batches(batch_size=_BATCH_ROWS, row_groups=[group], columns=[self._column]):
            yield from _column(batch, self._column)


class _ArrowCells:
    """A file that is mapped into memory: any row is at hand."""

    def __init__(self, table: pa.Table, column: str, close: Callable[[], None]) -> None:
        flat = table.flatten() if "." in column else table
        self._column, self.close = flat.column(column), close

    def read(self, row: int) -> bytes:
        return cast(bytes | None, self._column[row].as_py()) or b""


_Cells = _ParquetCells | _ArrowCells
_local = threading.local()


def _readers() -> OrderedDict[tuple[str, str], _Cells]:
    if not hasattr(_local, "readers"):
        _local.readers = OrderedDict()
    return cast(OrderedDict[tuple[str, str], _Cells], _local.readers)


def _open(cell: TableCell) -> _Cells:
    stack = ExitStack()
    if cell.path.endswith(".arrow"):
        table = stack.enter_context(open_arrow(TableFile.local(Path(cell.path))))
        return _ArrowCells(table, cell.column, stack.close)
    pq = need("pyarrow.parquet", "a Parquet file")
    opened = open_url(cell.path) if url_scheme(cell.path) else TableFile.local(Path(cell.path)).open()
    # Without buffers the whole column of a row group would be read for its first cell.
    file = pq.ParquetFile(opened, buffer_size=_PAGE_BYTES, pre_buffer=False)
    return _ParquetCells(file, cell.column, opened.close)


def _column(batch: pa.RecordBatch, column: str) -> Iterator[bytes | None]:
    outer, _, inner = column.partition(".")
    found = batch.column(outer)
    values = found.flatten()[[each.name for each in found.type].index(inner)] if inner else found
    return (each.as_py() for each in values)
