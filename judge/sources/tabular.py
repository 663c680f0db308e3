"""Rows of tables as samples, by the columns that name the media."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from judge.errors import MediaError
from judge.sources.columns import Columns, FoundColumns, find_columns
from judge.sources.labels import read_label
from judge.sources.paths import Place, guess_modality
from judge.sources.readers.table import Row, Table, as_text, cell
from judge.sources.sample import Locator, NoMedia, Sample, TableCell


def table_samples(table: Table, columns: Columns, place: Place) -> Iterator[Sample]:
    """Every row is a sample, whatever is wrong with it.

    Raises:
        ConfigError: A column is missing, or the table is broken.
    """
    found = find_columns(columns, table.columns, table.bytes_in, table.where)
    for row in table.rows():
        yield _sample(row, table, found, place)


def _sample(row: Row, table: Table, columns: FoundColumns, place: Place) -> Sample:
    said = as_text(cell(row.cells, columns.media))
    number = f"{posixpath.basename(table.where)}#{row.number}"
    locator, problem = _locate(row, table, columns.media, place) if not row.problem else (NoMedia(), row.problem)
    label = as_text(cell(row.cells, columns.label)) if columns.label else ""
    harmful = read_label(label, numbers=columns.numbers)
    return Sample(
        id=(as_text(cell(row.cells, columns.id)) if columns.id else said) or number,
        locator=locator,
        modality=guess_modality(said or _file_name(row, columns.media)),
        harmful=harmful,
        labels=(label,) if label and harmful is None else (),
        text=as_text(cell(row.cells, columns.text)) if columns.text else "",
        problem=problem,
    )


def _locate(row: Row, table: Table, column: str, place: Place) -> tuple[Locator, str]:
    if column in table.bytes_in:
        return TableCell(path=table.where, row=row.number, column=column), ""
    try:
        return place.locate(as_text(cell(row.cells, column))), ""
    except MediaError as error:
        return NoMedia(), str(error)


def _file_name(row: Row, column: str) -> str:
    """What Hugging Face keeps beside the bytes of a picture: `image.path` of `image.bytes`."""
    return as_text(cell(row.cells, f"{column.removesuffix('.bytes')}.path"))
