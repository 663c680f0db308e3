"""VHD11K's annotation tables, read strictly and written so that they read back to the same decisions.

Only the cell `decision` makes a class. A row without a readable decision is kept and counted; it is never harmful or
unharmful. Written from the published description: the data set itself was not at hand.

Text is written as it is, whatever a spreadsheet might make of `=cmd`: these tables are data for programs. Only halves
of surrogate pairs, which no encoding has, become their escape (`\\ud800`).
Source of the layout: VHD11K (arXiv 2409.19734).
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from judge.errors import ConfigError, quoted
from judge.sources.names import MediaNames, base_name
from judge.sources.text import decode_text
from judge.types.annotation import (
    CRITIC,
    DECISION,
    ERROR,
    HARMFUL_TYPE,
    NO,
    NO_TEXT,
    NONE,
    REFUSED,
    YES,
    AnnotationKind,
    argument_columns,
    path_column,
)

__all__ = [
    "Annotation", "AnnotationTable", "MediaNames", "Problem", "base_name", "decode_text", "encodable", "format_row",
    "parse_annotations", "read_annotations", "to_cells",
]  # fmt: skip

Problem = Literal["", "refused", "error", "undecided", "unreadable"]
"""refused: the model would not answer, whatever the decision says; error: it failed; undecided: it answered neither;
unreadable: the row says something else."""
_DECISIONS: Mapping[str, bool] = {YES: True, NO: False, "harmful": True, "unharmful": False}
_REFUSALS = frozenset({REFUSED.lower(), "api refuses request", "api refuses to answer"})
_NOTHING = frozenset({"", NONE})
_WRAPPING = " \t\r\n.\"'"
_KINDS: tuple[AnnotationKind, ...] = ("image", "video")


@dataclass(frozen=True, slots=True)
class Annotation:
    """One row. Texts that were not given are empty.

    Attributes:
        path: Of the media, as the table has it.
        harmful: None without a readable decision.
        harmful_type: What harm it is; of an unharmful row, the reason.
        said: The cell `decision` as it stands; empty in a row that is to be written.
        line: Where the row ends in its file, from 1 on; 0 in a row that is to be written.
        more: Further columns.
    """

    path: str
    harmful: bool | None
    harmful_type: str = ""
    affirmative: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    critic: str = ""
    problem: Problem = ""
    said: str = ""
    line: int = 0
    more: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class AnnotationTable:
    """A table as it was read."""

    columns: tuple[str, ...]
    rows: tuple[Annotation, ...]

    @property
    def counts(self) -> Mapping[str, int]:
        """Rows that are harmful or unharmful, and rows by problem; a refused row may be counted as harmful as well."""
        classes = Counter("harmful" if row.harmful else "unharmful" for row in self.rows if row.harmful is not None)
        return classes + Counter(row.problem for row in self.rows if row.problem)


def read_annotations(path: Path) -> AnnotationTable:
    """Read a table of images or videos. Columns other than the media's path and the decision may be missing.

    Raises:
        ConfigError: The file cannot be read, lacks a column, or its quoting is broken, so that rows run together.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"annotation table '{path}' cannot be read: {error.strerror}") from error
    return parse_annotations(data, str(path))


def parse_annotations(data: bytes, source: str) -> AnnotationTable:
    """As `read_annotations`, from the bytes of a file; `source` is for messages."""
    reader = csv.reader(io.StringIO(decode_text(data), newline=""), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        place = _path_place(header, source)
        rows = tuple(_row(cells, header, place, reader.line_num) for cells in reader if cells)
    except csv.Error as error:
        raise ConfigError(
            f"annotation table '{source}' breaks off at line {reader.line_num}: {error}",
            hint="a quote is missing or stands inside an unquoted cell",
        ) from error
    return AnnotationTable(tuple(header), rows)


def format_row(cells: Sequence[str]) -> bytes:
    """One line of a table, in UTF-8."""
    text = io.StringIO(newline="")
    csv.writer(text).writerow([encodable(cell) for cell in cells])
    return text.getvalue().encode()


def encodable(text: str) -> str:
    """The text with its halves of surrogate pairs spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


def to_cells(row: Annotation, columns: Sequence[str]) -> list[str]:
    """The cells of a row; more arguments than there are columns for are left out."""
    cells = {DECISION: _decision_cell(row), HARMFUL_TYPE: _type_cell(row), CRITIC: row.critic or NO_TEXT}
    cells |= {path_column(kind): row.path for kind in _KINDS}
    for side, said in (("affirmative", row.affirmative), ("negative", row.negative)):
        names = [name for name in columns if name.startswith(f"{side}Debater_argument_")]
        cells |= {name: said[turn] if turn < len(said) and said[turn] else NO_TEXT for turn, name in enumerate(names)}
    return [cells[name] if name in cells else (row.more or {}).get(name, "") for name in columns]


def _path_place(header: Sequence[str], source: str) -> int:
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise ConfigError(f"annotation table '{source}' has the column {quoted(twice[0])} twice")
    names = [path_column(kind) for kind in _KINDS if path_column(kind) in header]
    if DECISION not in header or len(names) != 1:
        lacking = f"no column '{DECISION}'" if names else "no column 'imagePath' or 'videoPath'"
        lacking = "both 'imagePath' and 'videoPath'" if len(names) > 1 else lacking
        raise ConfigError(f"annotation table '{source}' has {lacking}", hint="a table in VHD11K's columns is needed")
    return header.index(names[0])


def _row(cells: Sequence[str], header: Sequence[str], place: int, line: int) -> Annotation:
    if len(cells) != len(header):
        said = f"{len(cells)} cells under {len(header)} columns"
        return Annotation(cells[place] if place < len(cells) else "", None, problem="unreadable", said=said, line=line)
    by_name = dict(zip(header, cells, strict=True))
    harmful_type = by_name.pop(HARMFUL_TYPE, "")
    said = by_name.pop(DECISION)
    harmful, problem = _decision(said, harmful_type)
    return Annotation(
        path=by_name.pop(header[place]),
        harmful=harmful,
        harmful_type=_text(harmful_type),
        affirmative=tuple(_arguments(by_name, "affirmative")),
        negative=tuple(_arguments(by_name, "negative")),
        critic=_text(by_name.pop(CRITIC, "")),
        problem=problem,
        said=said,
        line=line,
        more=by_name,
    )


def _decision(said: str, harmful_type: str) -> tuple[bool | None, Problem]:
    word = said.strip(_WRAPPING).lower()
    harmful = _DECISIONS.get(word)
    if harmful_type.strip(_WRAPPING).lower() in _REFUSALS:
        return harmful, "refused"
    if harmful is not None:
        return harmful, ""
    return None, "error" if word == ERROR else "undecided" if word == NONE else "unreadable"


def _arguments(by_name: dict[str, str], side: Literal["affirmative", "negative"]) -> Iterator[str]:
    for name in argument_columns(side, len(by_name)):
        if name in by_name:
            yield _text(by_name.pop(name))


def _text(cell: str) -> str:
    return "" if cell.strip().lower() in _NOTHING else cell


def _decision_cell(row: Annotation) -> str:
    if row.harmful is not None:
        return YES if row.harmful else NO
    return ERROR if row.problem == "error" else NONE


def _type_cell(row: Annotation) -> str:
    if row.problem == "refused":
        return REFUSED
    return ERROR if row.problem == "error" else row.harmful_type or NONE
