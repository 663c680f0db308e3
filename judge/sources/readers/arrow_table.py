"""Parquet and Arrow files. Columns of encoded media are named, never read here: see `judge.sources.cells`."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pydantic import JsonValue

from judge.errors import ConfigError
from judge.sources.needs import need
from judge.sources.readers.table import Row, Table, TableFile

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_BATCH_ROWS = 1024


def read_parquet(file: TableFile) -> Table:
    """Open a Parquet file.

    Raises:
        ConfigError: pyarrow is missing, or it is no Parquet file; while rows are read: it is damaged.
    """
    with _parquet(file) as opened:
        schema, total = opened.schema_arrow, opened.metadata.num_rows
    plain, bytes_in = split_columns(schema)
    return Table(file.where, tuple(schema.names), lambda: _parquet_rows(file, plain, total), bytes_in, total)


def read_arrow(file: TableFile) -> Table:
    """A file of Arrow's stream format, as Hugging Face's `save_to_disk` writes it.

    Raises:
        ConfigError: As `read_parquet`.
    """
    with open_arrow(file) as table:
        schema, total = table.schema, table.num_rows
    plain, bytes_in = split_columns(schema)
    return Table(file.where, tuple(schema.names), lambda: _arrow_rows(file, plain), bytes_in, total)


def split_columns(schema: pa.Schema) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns (or fields of columns) that are plain values, and those that hold bytes."""
    pa = need("pyarrow", "a Parquet file")
    plain: list[str] = []
    held: list[str] = []
    for field in schema:
        if _is_binary(field.type):
            held.append(field.name)
        elif pa.types.is_struct(field.type):
            for inner in field.type:
                (held if _is_binary(inner.type) else plain).append(f"{field.name}.{inner.name}")
        elif not (pa.types.is_list(field.type) and _holds_bytes(field.type.value_type)):
            plain.append(field.name)
    return tuple(plain), tuple(held)


def _is_binary(type: pa.DataType) -> bool:
    pa = need("pyarrow", "a Parquet file")
    return bool(pa.types.is_binary(type) or pa.types.is_large_binary(type) or pa.types.is_binary_view(type))


def _holds_bytes(type: pa.DataType) -> bool:
    """Lists of pictures are not read at all: a row would be several samples."""
    pa = need("pyarrow", "a Parquet file")
    return _is_binary(type) or (pa.types.is_struct(type) and any(_is_binary(inner.type) for inner in type))


@contextmanager
def _parquet(file: TableFile) -> Iterator[pq.ParquetFile]:
    pa, pq = need("pyarrow", "a Parquet file"), need("pyarrow.parquet", "a Parquet file")
    with file.open() as opened:
        try:
            yield pq.ParquetFile(opened)
        except (pa.ArrowException, OSError) as error:
            raise ConfigError(f"'{file.where}' cannot be read as Parquet: {_said(error)}") from error


@contextmanager
def open_arrow(file: TableFile) -> Iterator[pa.Table]:
    """The table, mapped into memory, not read.

    Raises:
        ConfigError: It is no such file.
    """
    pa = need("pyarrow", "an Arrow file")
    file.open().close()  # says what is wrong with the path
    try:
        with pa.memory_map(file.where) as mapped:
            yield pa.ipc.open_stream(mapped).read_all()
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"'{file.where}' cannot be read as Arrow: {_said(error)}") from error


def _parquet_rows(file: TableFile, plain: tuple[str, ...], total: int) -> Iterator[Row]:
    if not plain:  # nothing but bytes: there is nothing to read yet
        yield from (Row(number, {}) for number in range(total))
        return
    with _parquet(file) as opened:
        yield from _rows(opened.iter_batches(batch_size=_BATCH_ROWS, columns=list(plain)))


def _arrow_rows(file: TableFile, plain: tuple[str, ...]) -> Iterator[Row]:
    with open_arrow(file) as table:
        yield from _rows(table.flatten().select(plain).to_batches(max_chunksize=_BATCH_ROWS))


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[Row]:
    number = 0
    for batch in batches:
        for cells in batch.to_pylist():
            yield Row(number, {name: _plain(value) for name, value in cells.items()})
            number += 1


def _plain(value: object) -> JsonValue:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case dict():
            return {str(name): _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case datetime.date() | datetime.time():
            return value.isoformat()
        case bytes():
            return None
        case _:
            return str(value)


def _said(error: Exception) -> str:
    return str(error).partition("\n")[0]
