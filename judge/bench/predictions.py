"""The files of a benchmark run: what was said of which sample, appended as it is known, so that a run can be resumed.

`run.json` says what was run on what, `samples.jsonl` holds the rows of the data set, `predictions.jsonl` one line per
sample, detector and perturbation; of several such lines the last counts.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Self

from pydantic import ValidationError

from judge.bench.records import FORMAT, Key, Predicted, RunRecord, from_json, to_json
from judge.errors import ConfigError
from judge.sources.sample import Sample

RUN, SAMPLES, PREDICTIONS = "run.json", "samples.jsonl", "predictions.jsonl"


class PredictionFile:
    """`predictions.jsonl` of a folder, open for appending, by one process at a time."""

    def __init__(self, folder: Path, run: RunRecord) -> None:
        """Open the run in `folder`, or begin it there.

        Raises:
            ConfigError: The folder holds another run, is in use, or cannot be written.
        """
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = (folder / PREDICTIONS).open("ab")
        except OSError as error:
            raise ConfigError(f"'{folder}' cannot be written: {error.strerror}") from error
        try:
            self._lock()
            merged = _merged(folder, run)
            _drop_cut_line(folder / PREDICTIONS)
            replace_text(folder / RUN, to_json(merged, indent=1) + "\n")
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            hint = "wait for it, or choose another --out"
            raise ConfigError(f"'{self.folder}' is in use by another run", hint=hint) from error

    def done(self, *, retry_failed: bool) -> set[Key]:
        """What needs no prediction any more.

        Raises:
            ConfigError: A line cannot be read.
        """
        found: set[Key] = set()
        for row in read_predictions(self.folder):
            if row.failed and retry_failed:
                found.discard(row.key)
            else:
                found.add(row.key)
        return found

    def append(self, rows: Iterable[Predicted]) -> None:
        """Write lines through to the disk's cache: what was paid for is not lost when the process is killed."""
        text = "".join(to_json(row, exclude_defaults=True) + "\n" for row in rows)
        try:
            self._file.write(text.encode())
            self._file.flush()
        except OSError as error:
            raise ConfigError(f"'{self.folder / PREDICTIONS}' cannot be written: {error.strerror}") from error


def read_predictions(folder: Path) -> Iterator[Predicted]:
    """All whole lines, in the order they were written.

    Raises:
        ConfigError: There is no such file, or a whole line is no prediction.
    """
    path = folder / PREDICTIONS
    for number, line in _lines(path):
        try:
            yield from_json(Predicted, line)
        except ValidationError as error:
            raise _broken(path, number, error) from error


def read_run(folder: Path) -> RunRecord | None:
    """What a folder holds predictions of; None if it holds none.

    Raises:
        ConfigError: `run.json` cannot be read.
    """
    path = folder / RUN
    if not path.is_file():
        return None
    try:
        run = from_json(RunRecord, path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigError(f"'{path}' is no record of a benchmark run", hint="choose another --out") from error
    if run.format != FORMAT:
        raise ConfigError(f"'{path}' was written by another version: '{run.format}'", hint="choose another --out")
    return run


def write_samples(folder: Path, samples: Sequence[Sample]) -> None:
    """Replace `samples.jsonl`.

    Raises:
        ConfigError: It cannot be written.
    """
    replace_text(folder / SAMPLES, "".join(to_json(sample) + "\n" for sample in samples))


def read_samples(folder: Path) -> list[Sample]:
    """The rows of the data set as the last run found them.

    Raises:
        ConfigError: There are none, or a line cannot be read.
    """
    path, found = folder / SAMPLES, []
    for number, line in _lines(path):
        try:
            found.append(from_json(Sample, line))
        except ValidationError as error:
            raise _broken(path, number, error) from error
    return found


def replace_text(path: Path, text: str) -> None:
    """Whole or not at all: whoever reads it meanwhile sees the old one."""
    beside = path.with_name(path.name + ".part")
    try:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")
        os.replace(beside, path)
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be written: {error.strerror}") from error


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n") and line.strip():
                    yield number, line
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be read: {error.strerror}") from error


def _broken(path: Path, number: int, error: ValidationError) -> ConfigError:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    hint = "remove that line, or choose another --out"
    return ConfigError(f"'{path}', line {number}: {where + ': ' if where else ''}{first['msg']}", hint=hint)


def _merged(folder: Path, run: RunRecord) -> RunRecord:
    """The run with the detectors that the folder knows already."""
    known = read_run(folder)
    if known is None:
        if (folder / PREDICTIONS).stat().st_size:
            raise ConfigError(f"'{folder}' holds predictions, but no {RUN}", hint="choose another --out")
        return run
    for field in ("card", "card_digest", "split", "source", "perturbed_by"):
        ours, theirs = getattr(run, field), getattr(known, field)
        if ours != theirs:
            what = f"'{folder}' holds predictions with another {field.replace('_', ' ')}: '{theirs}', not '{ours}'"
            raise ConfigError(what, hint="choose another --out")
    for label, record in run.detectors.items():
        if label in known.detectors and known.detectors[label].digest != record.digest:
            before = known.detectors[label]
            raise ConfigError(
                f"'{folder}' holds predictions of another '{label}': {before.name} ({before.digest[:12]}), "
                f"not {record.name} ({record.digest[:12]})",
                hint="choose another --out, or give it another name with label=...",
            )
    return run.model_copy(update={"detectors": {**known.detectors, **run.detectors}})


def _drop_cut_line(path: Path) -> None:
    """A process that was killed may have left part of a line at the end."""
    with path.open("rb+") as file:
        size = place = file.seek(0, os.SEEK_END)
        while place:
            start = max(place - 65536, 0)
            file.seek(start)
            found = file.read(place - start).rfind(b"\n")
            if found >= 0:
                place = start + found + 1
                break
            place = start
        if place < size:
            file.truncate(place)
