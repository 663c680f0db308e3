"""Data sets that Hugging Face's `save_to_disk` wrote. Read with pyarrow alone; classes become their names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import JsonValue

from judge.errors import ConfigError, MediaError, did_you_mean, quoted
from judge.sources.paths import file_below
from judge.sources.readers.arrow_table import read_arrow
from judge.sources.readers.table import Row, Table, TableFile, cell

_DICT, _STATE, _INFO = "dataset_dict.json", "state.json", "dataset_info.json"


def is_saved(folder: Path) -> bool:
    """Whether the folder is such a data set, or one of several splits."""
    return (folder / _DICT).is_file() or ((folder / _STATE).is_file() and (folder / _INFO).is_file())


def saved_tables(folder: Path, split: str | None) -> list[Table]:
    """Its files in order, of one split; all of them if it has none or only one.

    Raises:
        ConfigError: There is no such split, or none was named of several; a file is missing or wrong.
    """
    if (folder / _DICT).is_file():
        splits = _texts(_json(folder / _DICT).get("splits"))
        chosen = split or (splits[0] if len(splits) == 1 else "")
        if chosen not in splits:
            said = f"no split '{split}'" if split else "several splits"
            raise ConfigError(f"data set '{folder}' has {said}", hint=did_you_mean(chosen, splits))
        if "/" in chosen or "\\" in chosen or chosen in (".", ".."):
            raise ConfigError(f"data set '{folder}' has a split that is no name: {quoted(chosen)}")
        folder = folder / chosen
    names = _class_names(_json(folder / _INFO).get("features"))
    files = [_file_name(each) for each in _list(_json(folder / _STATE).get("_data_files"))]
    try:
        tables = [read_arrow(TableFile.local(file_below(folder, name))) for name in files]
    except MediaError as error:
        raise ConfigError(f"data set '{folder}': {error.message}") from error
    return [_named(table, names) for table in tables]


def _named(table: Table, names: Mapping[str, Sequence[str]]) -> Table:
    def rows() -> Iterator[Row]:
        for row in table.rows():
            yield replace(row, cells={**row.cells, **{each: _name(row, each, names[each]) for each in names}})

    return replace(table, rows=rows) if names else table


def _name(row: Row, column: str, names: Sequence[str]) -> JsonValue:
    value = cell(row.cells, column)
    return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


def _class_names(features: JsonValue) -> dict[str, Sequence[str]]:
    """Names of the classes by column; in the file a class is a number."""
    if not isinstance(features, dict):
        return {}
    return {
        column: _texts(feature.get("names"))
        for column, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    }


def _file_name(entry: JsonValue) -> str:
    return str(entry.get("filename", "")) if isinstance(entry, dict) else ""


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _texts(value: JsonValue) -> list[str]:
    return [str(each) for each in _list(value)]


def _json(path: Path) -> dict[str, JsonValue]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"'{path}' cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"'{path}' is no JSON object")
    return content
