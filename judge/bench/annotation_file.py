"""A table of annotations that grows: rows are appended as they are known, and a run goes on where the last one ended.

A row is written in one piece and made durable with its batch. What a crash cut off is taken away before the next run.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from judge.bench.annotate import MediaAnnotation, vote_decision
from judge.bench.vhd11k import Annotation, Problem, encodable, format_row, parse_annotations, to_cells
from judge.errors import ConfigError
from judge.types.annotation import AnnotationKind, annotation_columns

ANNOTATOR, PROBABILITY, REASON, VOTE, VOTE_SHARE = "annotator", "probability", "reason", "vote", "voteShare"
"""Our columns, behind VHD11K's: who judged under which settings; P(harmful); why it is undecided or an error; the
decision of the vote; and its share of Yes."""


class AnnotationFile:
    """Reads what a table holds; nothing is changed before `begin`. One writer at a time.

    Args:
        path: The table; it need not exist.
        kind: What its first column is called after.
        rounds: Turns a side.
        critic: Whether there is a critic.
        vote: Whether there are votes.

    Attributes:
        n_cut_bytes: What the end of a broken-off run left behind a row.

    Raises:
        ConfigError: It cannot be read, or has other columns.
    """

    def __init__(
        self, path: Path, kind: AnnotationKind = "image", *, rounds: int = 2, critic: bool = False, vote: bool = False
    ) -> None:
        self._path = path
        self._columns = [
            *annotation_columns(kind, rounds=rounds, critic=critic),
            PROBABILITY, REASON, *([VOTE, VOTE_SHARE] if vote else []), ANNOTATOR,
        ]  # fmt: skip
        self._header = format_row(self._columns)
        with _naming_errors(path):
            data = path.read_bytes() if path.exists() else b""
        lines = self._whole_rows(data)
        rows = parse_annotations(b"".join([self._header, *lines]), str(path)).rows
        self._rows = list(zip(lines, rows, strict=True))
        self._done = {row.path for row in rows if row.problem != "error"}
        self.n_cut_bytes = max(len(data) - len(self._header) - sum(map(len, lines)), 0)

    def is_done(self, name: str) -> bool:
        """Whether this media was judged, if only as undecided."""
        return encodable(name) in self._done

    def begin(self, names: Iterable[str], annotator: str = "") -> int:
        """Make the table ready for these media: take away what a crash cut off, and their rows that say error.

        Args:
            names: Media that will be judged.
            annotator: Who will; empty if every one of them has failed already.

        Returns:
            How many rows were taken out.

        Raises:
            ConfigError: The table has rows of another model or policy, or other settings; or it cannot be written.
        """
        others = {(row.more or {}).get(ANNOTATOR, "") for _, row in self._rows if row.problem != "error"} - {annotator}
        if annotator and others:
            raise ConfigError(
                f"annotation table '{self._path}' has rows by '{min(others)}', and this is '{annotator}'",
                hint="name another file with --csv, or use the model, policy, examples and settings it was begun with",
            )
        again = {encodable(name) for name in names}
        kept = [line for line, row in self._rows if row.problem != "error" or row.path not in again]
        if self.n_cut_bytes or len(kept) < len(self._rows) or not self._rows:
            self._replace(b"".join([self._header, *kept]))
        return len(self._rows) - len(kept)

    def append(self, annotations: Sequence[MediaAnnotation], annotator: str) -> None:
        """Add rows, behind `begin`.

        Raises:
            ConfigError: The table cannot be written.
        """
        data = b"".join(format_row(to_cells(to_row(each, annotator), self._columns)) for each in annotations)
        with _naming_errors(self._path):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
            try:
                _write(descriptor, data)
            finally:
                os.close(descriptor)

    def _whole_rows(self, data: bytes) -> list[bytes]:
        if self._header.startswith(data):  # nothing yet, or not even all of the header
            return []
        if not data.startswith(self._header):
            raise ConfigError(
                f"annotation table '{self._path}' has other columns than these settings write",
                hint="name another file with --csv, or use the settings it was begun with",
            )
        return _whole_rows(data[len(self._header) :])

    def _replace(self, data: bytes) -> None:
        """All of it or nothing."""
        beside = self._path.with_name(f"{self._path.name}.part")
        with _naming_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                _write(file.fileno(), data)
            os.replace(beside, self._path)


def to_row(annotation: MediaAnnotation, annotator: str = "") -> Annotation:
    """In VHD11K's terms. Of two debates, the arguments and the criticism are the first one's."""
    said = {side: tuple(_said(annotation, side)) for side in ("affirmative", "negative", "critic")}
    harmful = {"yes": True, "no": False}.get(annotation.decision)
    problem: Problem = "" if harmful is not None else "error" if annotation.error else "undecided"
    return Annotation(
        path=annotation.input,
        harmful=harmful,
        harmful_type=annotation.harmful_type,
        affirmative=said["affirmative"],
        negative=said["negative"],
        critic="\n".join(said["critic"]),
        problem="refused" if annotation.refused else problem,
        more={
            PROBABILITY: _number(annotation.probability),
            REASON: annotation.error.message if annotation.error else annotation.reason,
            VOTE: vote_decision(annotation.vote) if annotation.vote else "",
            VOTE_SHARE: _number(annotation.vote.probability) if annotation.vote else "",
            ANNOTATOR: annotator,
        },
    )


def _said(annotation: MediaAnnotation, speaker: str) -> list[str]:
    turns = annotation.debates[0].turns if annotation.debates else ()
    return [turn.text for turn in turns if turn.speaker == speaker]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


@contextmanager
def _naming_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(f"annotation table '{path}' cannot be used: {error.strerror}") from error


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)


def _whole_rows(data: bytes) -> list[bytes]:
    """Rows up to the last that ends as rows end, in a line break outside of quotes; empty lines are left out."""
    rows: list[bytes] = []
    row, inside = b"", False
    for line in data.splitlines(keepends=True):
        row += line
        inside ^= line.count(b'"') % 2 == 1  # a doubled quote changes nothing
        if line.endswith(b"\n") and not inside:
            rows += [row] if row.strip() else []
            row = b""
    return rows
