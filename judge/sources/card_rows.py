"""The rows that a card describes, with the tables joined to them. What they mean is settled in `cards`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import JsonValue

from judge.errors import ConfigError, MediaError
from judge.sources.card import Card, FileRows, Join, TableRows
from judge.sources.folder import is_media_name
from judge.sources.paths import path_below
from judge.sources.readers.any_table import read_table
from judge.sources.readers.excel_table import read_excel
from judge.sources.readers.json_table import read_json
from judge.sources.readers.table import Row, Table, TableFile, as_text, cell
from judge.sources.readers.text_table import read_text_lines
from judge.sources.readers.yolo import read_classes


@dataclass(frozen=True, slots=True)
class CardRow:
    """A row, and where it stands: `table` for those of tables, `path` for media files that are rows themselves."""

    cells: Mapping[str, JsonValue]
    number: int
    problem: str = ""
    table: Table | None = None
    path: Path | None = None


def card_rows(card: Card, root: Path, split: str) -> Iterator[CardRow]:
    """The rows of a split, in order.

    Raises:
        ConfigError: A file of the split is missing or broken.
    """
    sides = [_Side.read(join, root, split) for join in card.joins]
    rows = card.rows
    for row in _table_rows(rows, root, split) if isinstance(rows, TableRows) else _file_rows(rows, root, split):
        yield _joined(row, card, split, sides)


def card_tables(rows: TableRows, root: Path, split: str) -> list[Table]:
    """The tables of a split, in order.

    Raises:
        ConfigError: None is there, or one is broken.
    """
    files = files_of(rows, root, split)
    if not files:
        wanted = ", ".join(_patterns(rows, split))
        raise ConfigError(f"'{root}' has no file '{wanted}' for the split '{split}'", hint=_lying_there(root))
    return [_table(rows, path) for path in files]


def files_of(rows: TableRows | FileRows, root: Path, split: str) -> list[Path]:
    """The files of a split, in order, without any that leads out of the root."""
    return [path for path in _matching(rows, root, split) if _inside(path, root)]


def _matching(rows: TableRows | FileRows, root: Path, split: str) -> list[Path]:
    found: dict[Path, None] = {}
    for pattern in _patterns(rows, split):
        try:
            found.update(dict.fromkeys(sorted(path for path in root.glob(pattern) if path.is_file())))
        except (ValueError, NotImplementedError, OSError) as error:  # an empty or absolute pattern
            raise ConfigError(f"'{pattern}' is no path below a root: {error}") from error
    return list(found)


def _patterns(rows: TableRows | FileRows, split: str) -> list[str]:
    return [each.replace("{split}", split) for each in rows.by_split.get(split) or rows.files]


def _inside(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


def _lying_there(root: Path) -> str:
    if not root.is_dir():
        return "there is no such folder"
    names = sorted(each.name for each in root.iterdir() if not each.name.startswith("."))
    return f"there are: {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}" if names else "the folder is empty"


def _table(rows: TableRows, path: Path) -> Table:
    file = TableFile.local(path)
    if rows.line_pattern:
        return read_text_lines(file, rows.line_pattern)
    if rows.below and path.suffix == ".json":
        return read_json(file, below=rows.below)
    return read_excel(file, sheet=rows.sheet) if rows.sheet else read_table(file)


def _table_rows(rows: TableRows, root: Path, split: str) -> Iterator[CardRow]:
    for table in card_tables(rows, root, split):
        made = {"$file": Path(table.where).relative_to(root).as_posix()}
        for row in table.rows():
            yield CardRow({**row.cells, **made, "$row": row.number}, row.number, row.problem, table)


def _file_rows(rows: FileRows, root: Path, split: str) -> Iterator[CardRow]:
    files = [path for path in _matching(rows, root, split) if is_media_name(path.name)]
    if not files:
        raise ConfigError(f"'{root}' has no media for the split '{split}'", hint=_lying_there(root))
    for number, path in enumerate(files):
        name = path.relative_to(root).as_posix()
        cells: dict[str, JsonValue] = {"$row": number, "$path": name, "$name": path.name, "$stem": path.stem}
        found = re.search(rows.path_pattern, name)
        problem = "" if found else "its name does not fit the card's pattern"
        if found:
            cells |= found.groupdict()
        if rows.boxes:
            try:
                at = rows.boxes.replace("{stem}", path.stem).replace("{folder}", str(Path(name).parent))
                cells["classes"] = list(read_classes(path_below(root, at), rows.classes))
            except MediaError as error:
                problem = problem or error.message
        if not _inside(path, root):
            yield CardRow(cells, number, f"it is a link that leads out of '{root}'")
        else:
            yield CardRow(cells, number, problem, path=path)


@dataclass(frozen=True, slots=True)
class _Side:
    """A joined table, in memory."""

    name: str
    to: str
    rows: dict[str, Mapping[str, JsonValue]] = field(default_factory=dict)
    twice: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, join: Join, root: Path, split: str) -> _Side:
        side = cls(join.name, join.to)
        for path in files_of(join.rows, root, split):
            for row in _table(join.rows, path).rows():
                key = _key(row, join.key)
                if row.problem or not key:
                    raise ConfigError(f"'{path}', row {row.number + 1}: {row.problem or f'no {join.key}'}")
                if key in side.rows:
                    side.twice.add(key)
                else:
                    side.rows[key] = row.cells
        return side


def _key(row: Row, column: str) -> str:
    return str(row.number) if column == "$row" else as_text(cell(row.cells, column))


def _joined(row: CardRow, card: Card, split: str, sides: Sequence[_Side]) -> CardRow:
    cells: dict[str, JsonValue] = {**row.cells, "$split": split, "$card": card.name}
    if "$path" not in cells:
        said = next((text for name in card.media.columns if (text := as_text(cell(cells, name)))), "")
        name = said.replace("\\", "/").rsplit("/", 1)[-1]
        cells |= {"$path": said, "$name": name, "$stem": name.rpartition(".")[0] or name}
    problem = row.problem
    for side in sides:
        key = as_text(cell(cells, side.to))
        cells[side.name] = dict(side.rows.get(key, {}))
        if key in side.twice:
            problem = problem or f"'{key}' stands twice in the table '{side.name}'"
    for name, rule in card.derived.items():
        found = re.search(rule.pattern, as_text(cell(cells, rule.column)))
        cells[name] = (found.group(1) if found.groups() else found.group()) if found else ""
    return CardRow(cells, row.number, problem, row.table, row.path)
