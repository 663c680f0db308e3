"""The folder of written rows: Parquet files named by the rows that they hold, each whole or not there at all.

A file `rows-000000000000-000000000255.parquet` holds exactly the rows 0 to 255, in order. It is written beside its
place, flushed to the disk and renamed, so that a process killed at any moment leaves complete files, and at most a
hidden one that the next run removes.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from judge.bulk.row import LabelRow
from judge.bulk.schema import from_table, to_table
from judge.errors import ConfigError

_NAME = re.compile(r"rows-(\d{12,})-(\d{12,})\.parquet")
_IDS = b"ids_sha256"
_KEPT_OPEN = 4


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Rows `first` to `last`, both included."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1


@dataclass
class Parts:
    """The part files of one folder.

    Attributes:
        folder: Created when the first part is written.
        known: What is taken for written, whatever else the folder holds by now; None = what it holds.
    """

    folder: Path
    known: Sequence[Span] | None = None
    _recent: dict[Span, list[LabelRow]] = field(default_factory=dict)

    @cached_property
    def _spans(self) -> list[Span]:
        return _listed(self.folder) if self.known is None else list(self.known)

    @property
    def spans(self) -> Sequence[Span]:
        """What is written, in order.

        Raises:
            ConfigError: Two files hold the same row.
        """
        return self._spans

    @property
    def n_rows(self) -> int:
        return sum(len(span) for span in self._spans)

    def path(self, span: Span) -> Path:
        return self.folder / f"rows-{span.first:012d}-{span.last:012d}.parquet"

    def clean(self) -> None:
        """Remove what a killed process left half written."""
        for path in self.folder.glob(".rows-*.tmp"):
            path.unlink(missing_ok=True)

    def write(self, rows: Sequence[LabelRow]) -> Path:
        """Write rows without a gap between them.

        Raises:
            ConfigError: It cannot be written.
        """
        import pyarrow.parquet as pq  # noqa: PLC0415

        span = Span(rows[0].index, rows[-1].index)
        assert [row.index for row in rows] == list(range(span.first, span.last + 1))
        assert not any(each.first <= span.last and span.first <= each.last for each in self._spans)
        table = to_table(rows)
        meta = {**(table.schema.metadata or {}), _IDS: ids_digest(row.id for row in rows).encode()}
        path = self.path(span)
        hidden = path.with_name(f".{path.stem}.tmp")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with hidden.open("wb") as file:
                pq.write_table(table.replace_schema_metadata(meta), file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            hidden.rename(path)
            _sync_folder(self.folder)
        except OSError as error:
            hidden.unlink(missing_ok=True)
            raise ConfigError(f"'{path}' cannot be written: {error.strerror or error}") from error
        self._spans.append(span)
        self._spans.sort()
        self._keep(span, list(rows))
        return path

    def rows(self, span: Span) -> list[LabelRow]:
        """Of one file.

        Raises:
            ConfigError: It cannot be read.
        """
        if span not in self._recent:
            self._keep(span, from_table(self._table(span, None)))
        return self._recent[span]

    def all_rows(self) -> Iterator[LabelRow]:
        """One file after the other."""
        for span in list(self._spans):
            yield from from_table(self._table(span, None))

    def columns(self, span: Span, names: Sequence[str]) -> Mapping[str, list[object]]:
        """Some columns of one file, as Python's values."""
        table = self._table(span, names)
        return {name: table.column(name).to_pylist() for name in names}

    def ids_of(self, span: Span) -> str:
        """Digest of the ids in one file; see `ids_digest`."""
        import pyarrow.parquet as pq  # noqa: PLC0415

        try:
            meta = pq.read_schema(self.path(span)).metadata or {}
        except (OSError, ValueError) as error:
            raise self._unreadable(span, error) from error
        return str(meta.get(_IDS, b"").decode())

    def holds(self, index: int) -> bool:
        """Whether the row is written."""
        return self._span_of(index) is not None

    def row(self, index: int) -> LabelRow | None:
        """One row; None if it is not written."""
        span = self._span_of(index)
        return None if span is None else self.rows(span)[index - span.first]

    def _span_of(self, index: int) -> Span | None:
        place = bisect_right(self._spans, index, key=lambda span: span.first) - 1
        return self._spans[place] if place >= 0 and index <= self._spans[place].last else None

    def _table(self, span: Span, columns: Sequence[str] | None):  # type: ignore[no-untyped-def]
        import pyarrow.parquet as pq  # noqa: PLC0415

        try:
            return pq.read_table(self.path(span), columns=list(columns) if columns else None, partitioning=None)
        except (OSError, ValueError) as error:
            raise self._unreadable(span, error) from error

    def _unreadable(self, span: Span, error: Exception) -> ConfigError:
        return ConfigError(
            f"'{self.path(span)}' cannot be read: {error}", hint="remove that file, and its rows are judged again"
        )

    def _keep(self, span: Span, rows: list[LabelRow]) -> None:
        self._recent[span] = rows
        while len(self._recent) > _KEPT_OPEN:
            del self._recent[next(iter(self._recent))]


def ids_digest(ids: Iterable[str]) -> str:
    """sha256 over ids in their order: whether a source still gives the same rows."""
    digest = hashlib.sha256()
    for each in ids:
        digest.update(json.dumps(each).encode() + b"\n")
    return digest.hexdigest()


class FolderLock:
    """Held by the one process that writes into a folder; the system lets go of it however that process ends.

    Raises:
        ConfigError: Another process holds it, or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / ".lock").open("wb")
        except OSError as error:
            raise ConfigError(f"folder '{folder}' cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise ConfigError(
                f"another `judge label` writes into '{folder}'", hint="wait until it has ended"
            ) from error

    def __enter__(self) -> FolderLock:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def _listed(folder: Path) -> list[Span]:
    if not folder.is_dir():
        return []
    found = sorted(Span(int(m[1]), int(m[2])) for path in folder.iterdir() if (m := _NAME.fullmatch(path.name)))
    for before, after in pairwise(found):
        if after.first <= before.last:
            raise ConfigError(f"two files in '{folder}' hold row {after.first}", hint="remove one of them")
    return found


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
