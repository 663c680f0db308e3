"""From rows as they come, in any order, to part files: duplicates get their verdict, and wait for it if need be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from judge.bulk.item import copied_row
from judge.bulk.parts import Parts
from judge.bulk.row import LabelRow


class Assembler:
    """The only writer of a folder. A duplicate is never written before its original.

    Args:
        part_rows: Rows without a gap that are written as one file.
        flush_s: Seconds after which whatever has come is written, however little.
        clock: Seconds, from anywhere.
    """

    def __init__(
        self, parts: Parts, *, part_rows: int, flush_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._parts = parts
        self._part_rows = part_rows
        self._flush_s = flush_s
        self._clock = clock
        self._flushed_at = clock()
        self._ready: dict[int, LabelRow] = {}
        self._waiting: dict[int, list[LabelRow]] = {}

    def add(self, rows: Iterable[LabelRow]) -> list[LabelRow]:
        """The rows that are complete now, in no order; those that came before are left out.

        Raises:
            ConfigError: A part cannot be written, or cannot be read any more.
        """
        complete = [found for row in rows for found in self._complete(row)]
        if self._clock() - self._flushed_at >= self._flush_s:
            self.flush()
        elif len(self._ready) >= self._part_rows:
            self._write(self._large_enough())
        return complete

    def flush(self) -> None:
        """Write everything that is complete.

        Raises:
            ConfigError: As `add`.
        """
        self._write(_runs(self._ready))
        self._flushed_at = self._clock()

    @property
    def n_waiting(self) -> int:
        """Duplicates whose verdict has not come."""
        return sum(map(len, self._waiting.values()))

    def _complete(self, row: LabelRow) -> list[LabelRow]:
        if row.index in self._ready or self._parts.holds(row.index):
            return []  # a reader that was started again reads a second time
        if row.duplicate_of is not None:
            original = self._ready.get(row.duplicate_of) or self._parts.row(row.duplicate_of)
            if original is None:
                waiting = self._waiting.setdefault(row.duplicate_of, [])
                if all(each.index != row.index for each in waiting):
                    waiting.append(row)
                return []
            row = copied_row(row, original)
        self._ready[row.index] = row
        return [row, *(found for each in self._waiting.pop(row.index, ()) for found in self._complete(each))]

    def _large_enough(self) -> list[list[LabelRow]]:
        """Runs of the size of a part, and what must be written before them."""
        runs = _runs(self._ready)
        large = [place for place, run in enumerate(runs) if len(run) >= self._part_rows]
        if not large:
            return []
        if any(row.duplicate_of in self._ready for place in large for row in runs[place]):
            return runs[: large[-1] + 1]
        return [runs[place] for place in large]

    def _write(self, runs: Sequence[list[LabelRow]]) -> None:
        for run in runs:
            for first in range(0, len(run), self._part_rows):
                part = run[first : first + self._part_rows]
                self._parts.write(part)
                for row in part:
                    del self._ready[row.index]


def _runs(ready: dict[int, LabelRow]) -> list[list[LabelRow]]:
    """The rows in order, cut where one is missing."""
    runs: list[list[LabelRow]] = []
    for index in sorted(ready):
        if runs and runs[-1][-1].index == index - 1:
            runs[-1].append(ready[index])
        else:
            runs.append([ready[index]])
    return runs
