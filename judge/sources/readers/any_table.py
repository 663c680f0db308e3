"""A table by the suffix of its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath

from judge.errors import ConfigError
from judge.sources.readers.arrow_table import read_arrow, read_parquet
from judge.sources.readers.csv_table import read_csv
from judge.sources.readers.excel_table import read_excel
from judge.sources.readers.json_table import read_json, read_jsonl
from judge.sources.readers.table import Table, TableFile

_BY_SUFFIX: Mapping[str, Callable[[TableFile], Table]] = {
    ".csv": read_csv,
    ".tsv": lambda file: read_csv(file, delimiter="\t"),
    ".jsonl": read_jsonl,
    ".ndjson": read_jsonl,
    ".json": read_json,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".xlsx": read_excel,
}
TABLE_SUFFIXES = frozenset(_BY_SUFFIX)


def is_table(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in TABLE_SUFFIXES


def read_table(file: TableFile) -> Table:
    """Open a table.

    Raises:
        ConfigError: Its suffix is none of a table, or it cannot be read as what it says.
    """
    suffix = PurePosixPath(file.where).suffix.lower()
    if suffix not in _BY_SUFFIX:
        raise ConfigError(f"'{file.where}' is no table", hint=f"known: {', '.join(sorted(_BY_SUFFIX))}")
    return _BY_SUFFIX[suffix](file)
