"""The files of a benchmark run: what was said of which sample, appended as it is known, so that a run can be resumed.

`run.json` says what was run on what, `samples.jsonl` holds the rows of the data set, `predictions.jsonl` one line per
sample, detector and perturbation; of several such lines the last counts.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Self, TypeVar

from pydantic import Field, ValidationError
from pydantic_core import PydanticSerializationError

from judge.bench.detectors.base import DetectorInfo, Prediction
from judge.errors import ConfigError
from judge.sources.categories import Category
from judge.sources.sample import Sample
from judge.types import Modality, Probability, Usage, Wire

RUN, SAMPLES, PREDICTIONS = "run.json", "samples.jsonl", "predictions.jsonl"
_FORMAT = "visual-judge bench 1"

Row = TypeVar("Row", bound=Wire)
Key = tuple[str, str, str]
"""Sample, label of the detector, perturbation."""


class Predicted(Wire):
    """One line of `predictions.jsonl`."""

    sample: str
    """Id of the sample."""
    detector: str
    """Label of the detector in this run."""
    perturbation: str = ""
    """What was done to the media before; empty for nothing."""
    media: str = ""
    """sha256 of the media's bytes; empty where there were none."""
    score: Probability | None = None
    """As `Prediction`, and so are the others."""
    flagged: bool | None = None
    """None for an abstention or an error."""
    category_scores: Mapping[Category, Probability] = Field(default_factory=dict)
    """By common name."""
    reason: str = ""
    """Why nothing was said; never empty then."""
    failed: bool = False
    """An error, as opposed to an abstention."""
    usage: Usage = Usage()
    """Tokens and questions."""
    model_s: float = Field(default=0.0, ge=0.0)
    """Seconds that the detector took."""
    cost_usd: float | None = None
    """Of paid calls."""

    @property
    def key(self) -> Key:
        return self.sample, self.detector, self.perturbation


class DetectorRecord(Wire):
    """As `DetectorInfo`."""

    name: str
    """Full name."""
    digest: str
    """Same digest, same predictions."""
    modalities: tuple[Modality, ...]
    """Media that it takes."""
    categories: tuple[Category, ...] | None
    """Kinds of harm that it was made for; None = any."""
    threshold: float
    """A score from here on is flagged."""
    reads_text: bool = False
    """It reads the words posted with a picture."""
    source: str = ""
    """Paper or model card."""

    @classmethod
    def of(cls, info: DetectorInfo) -> Self:
        kinds = None if info.categories is None else tuple(sorted(info.categories))
        return cls(
            name=info.name, digest=info.digest, modalities=tuple(sorted(info.modalities)), categories=kinds,
            threshold=info.threshold, reads_text=info.reads_text, source=info.source,
        )  # fmt: skip


class RunRecord(Wire):
    """`run.json`: what the predictions were made by, and on what."""

    format: str = _FORMAT
    """Version of the three files."""
    source: str
    """Name of the data set and split, for people."""
    card: str = ""
    """Dataset card; empty where the source has none."""
    card_digest: str = ""
    """Of the card."""
    split: str = ""
    """Of the data set."""
    perturbed_by: str = ""
    """Version of the perturbations."""
    detectors: Mapping[str, DetectorRecord] = Field(default_factory=dict)
    """By their labels in this run."""


def to_row(sample: str, detector: str, perturbation: str, media: str, said: Prediction) -> Predicted:
    """A line for the file. A score that is none, and silence about an empty answer, become failures with a reason."""
    score, reason, failed, flagged = said.score, said.reason, said.failed, said.flagged
    if score is not None and not (math.isfinite(score) and 0.0 <= score <= 1.0):
        failed, reason = True, f"its score {score} is not between 0 and 1"
    if failed:
        score, flagged = None, None
    if flagged is None and not reason:
        reason = "it gave no answer and no reason"
    kinds = {name: value for name, value in said.category_scores.items() if 0.0 <= value <= 1.0}
    return Predicted(
        sample=sample, detector=detector, perturbation=perturbation, media=media, score=score, flagged=flagged,
        category_scores=kinds, reason=reason, failed=failed, usage=said.usage, model_s=max(said.model_s, 0.0),
        cost_usd=said.cost_usd,
    )  # fmt: skip


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
    if run.format != _FORMAT:
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


def to_json(value: Wire, *, indent: int | None = None, exclude_defaults: bool = False) -> str:
    """Also of names of files that are no Unicode, whose bytes Python keeps as halves of surrogate pairs."""
    try:
        return value.model_dump_json(indent=indent, exclude_defaults=exclude_defaults)
    except PydanticSerializationError:
        plain = value.model_dump(mode="json", exclude_defaults=exclude_defaults)
        return json.dumps(plain, indent=indent)


def from_json(kind: type[Row], text: bytes) -> Row:
    """What `to_json` wrote.

    Raises:
        ValidationError: It is something else.
    """
    if b"\\ud" in text.lower():
        with suppress(ValueError):
            return kind.model_validate(json.loads(text))
    return kind.model_validate_json(text)


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
