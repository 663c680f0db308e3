"""One labelling, from start to end: what is judged somewhere arrives here, and is written here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from platform import node
from typing import Protocol

from judge.bulk.assemble import Assembler
from judge.bulk.control import Control
from judge.bulk.counts import Counts
from judge.bulk.item import Judged, as_input_error
from judge.bulk.parts import FolderLock, Parts
from judge.bulk.plan import ReadPlan
from judge.bulk.run_file import (
    JobRecord,
    RunRecord,
    Session,
    check_same_job,
    check_same_versions,
    libraries,
    read_run,
    write_run,
)
from judge.errors import ConfigError, JudgeError
from judge.types import InputError

PARTS = "rows"
RUN_FILE = "run.json"
_LOOK_S = 0.2


class Executor(Protocol):
    """Runs the reader, the decoders and the judges somewhere."""

    def control(self) -> Control:
        """For one run."""
        ...

    def run(self, plan: ReadPlan, control: Control) -> Iterator[Judged]:
        """What became of every bundle, in no order; some of them twice, if something died.

        Raises:
            JudgeError: It cannot be started, or not kept up.
        """
        ...


@dataclass(frozen=True, slots=True)
class Budget:
    """When to end early. None = never.

    Attributes:
        tokens: Read and written in this run.
        seconds: Of this run, the start of the engines included.
    """

    tokens: int | None = None
    seconds: float | None = None


@dataclass
class Ending:
    """Why a run is to end before its time; may be set from a signal handler."""

    asked: threading.Event = field(default_factory=threading.Event)
    why: str = ""

    def ask(self, why: str) -> None:
        self.why = self.why or why
        self.asked.set()


@dataclass(frozen=True, slots=True)
class LabelJob:
    """What to label into which folder.

    Attributes:
        record: What may not change between runs into the folder.
        constitution_text: For `run.json`.
    """

    out: Path
    plan: ReadPlan
    record: JobRecord
    constitution_text: str = ""
    part_rows: int = 256
    flush_s: float = 60.0
    budget: Budget = Budget()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Attributes:
        why: `complete`, `limit`, or why it ended early.
        added: By this run.
        start_s: Until the first rows had come: starting everything, and judging them.
        judging_s: From then on, for `rows_after`.
        n_before: Rows that were written before.
        error: What ended it, if something went wrong.
    """

    why: str
    added: Counts
    n_before: int
    start_s: float
    judging_s: float
    rows_after: int
    error: InputError | None = None

    @property
    def rows_per_s(self) -> float:
        """Without the start-up; 0 if there was too little."""
        return self.rows_after / self.judging_s if self.judging_s > 0 else 0.0

    @property
    def is_complete(self) -> bool:
        """Whether every row that was asked for is written."""
        return self.why in ("complete", "limit")


def run_job(
    job: LabelJob, executor: Executor, ending: Ending, on_progress: Callable[[Counts], None] = lambda _: None
) -> Outcome:
    """Label what is not labelled yet.

    Raises:
        ConfigError: The folder holds other rows, cannot be written, or is in use.
        JudgeError: The executor cannot be started. Whatever goes wrong later is in the outcome.
    """
    with FolderLock(job.out):
        return _Run(job, executor, ending, on_progress).run()


class _Run:
    def __init__(
        self, job: LabelJob, executor: Executor, ending: Ending, on_progress: Callable[[Counts], None]
    ) -> None:
        self._job = job
        self._executor = executor
        self._ending = ending
        self._on_progress = on_progress
        self._parts = Parts(job.out / PARTS)
        self._assembler = Assembler(self._parts, part_rows=job.part_rows, flush_s=job.flush_s)
        self._counts = Counts()
        self._record = self._open_record()
        self._fatal: InputError | None = None
        self._started_s = time.monotonic()
        self._first: tuple[float, int] | None = None
        self._skipped = 0

    def run(self) -> Outcome:
        self._parts.clean()
        n_before, began = self._parts.n_rows, _now()
        control = self._executor.control()
        arriving = self._executor.run(replace(self._job.plan, written=tuple(self._parts.spans)), control)
        try:
            with _watched(control, self._ending, self._job.budget.seconds), _ended_early(arriving):
                for judged in arriving:
                    self._take(judged, control)
        except JudgeError as error:
            if self._counts.rows == 0:
                raise
            self._fatal = as_input_error(error)
        finally:
            self._assembler.flush()  # also of what a second Ctrl-C leaves
        self._check_complete()
        why = self._why(n_before + self._counts.rows)
        outcome = self._outcome(why, n_before)
        self._finish(outcome, began)
        return outcome

    def _outcome(self, why: str, n_before: int) -> Outcome:
        now_s = time.monotonic()
        first_s, first_rows = self._first or (now_s, self._counts.rows)
        return Outcome(
            why, self._counts, n_before, first_s - self._started_s, now_s - first_s, self._counts.rows - first_rows,
            self._fatal,
        )  # fmt: skip

    def _open_record(self) -> RunRecord:
        path = self._job.out / RUN_FILE
        found = read_run(path)
        if found is None:
            if self._parts.n_rows:
                raise ConfigError(f"'{self._job.out}' holds rows, and no {RUN_FILE}", hint="choose another --out")
            found = RunRecord(job=self._job.record, constitution_text=self._job.constitution_text)
        check_same_job(found.job, self._job.record, self._job.out)
        record = found.model_copy(update={"status": "running"})
        write_run(path, record)
        return record

    def _take(self, judged: Judged, control: Control) -> None:
        control.finished(judged.number)
        if judged.versions:
            self._check_versions(judged)
        complete = self._assembler.add(judged.rows)
        self._skipped += judged.skipped
        self._counts.add(complete)
        if self._first is None and complete:
            self._first = (time.monotonic(), self._counts.rows)
        if judged.fatal is not None:
            self._fatal = judged.fatal
            if judged.stops:
                self._ending.ask("error")
                control.stop()
        most = self._job.budget.tokens
        if most is not None and self._counts.tokens >= most:
            self._ending.ask("budget_tokens")
            control.stop()
        self._on_progress(self._counts)

    def _check_versions(self, judged: Judged) -> None:
        """Before the first row of a session is written, and after."""
        found = self._record.versions
        if found is None:
            self._record = self._record.model_copy(update={"versions": judged.versions[0]})
            write_run(self._job.out / RUN_FILE, self._record)
        else:
            check_same_versions(found, judged.versions, self._job.out)

    def _check_complete(self) -> None:
        """A run that was not ended early leaves no gap; if one does, that is said instead of a wrong `complete`."""
        if self._fatal is None and not self._ending.why:
            spans = self._parts.spans
            n_rows = spans[-1].last + 1 if spans else 0
            missing = n_rows - self._parts.n_rows + self._assembler.n_waiting + self._skipped
            if missing:
                hint = "run the same command again: only they will be judged"
                self._fatal = InputError(code="error", message=f"{missing} rows got lost on the way", hint=hint)

    def _why(self, n_rows: int) -> str:
        if self._fatal is not None:
            return "error"
        if self._ending.why and (self._skipped or self._ending.asked.is_set()):
            return self._ending.why
        limit = self._job.plan.selection.limit
        return "limit" if limit is not None and n_rows >= limit else "complete"

    def _finish(self, outcome: Outcome, began: str) -> None:
        session = Session(
            started=began, ended=_now(), first_missing=outcome.n_before, why=outcome.why,
            counts=outcome.added.as_json(), libraries=libraries(), machine=node(),
        )  # fmt: skip
        status = "complete" if outcome.why == "complete" else outcome.why
        update = {"status": status, "rows": self._parts.n_rows, "sessions": (*self._record.sessions, session)}
        write_run(self._job.out / RUN_FILE, self._record.model_copy(update=update))


@contextmanager
def _ended_early(stream: Iterator[Judged]) -> Iterator[None]:
    """Ends a generator that was not read to its end."""
    try:
        yield
    finally:
        if isinstance(stream, Generator):
            stream.close()


@contextmanager
def _watched(control: Control, ending: Ending, seconds: float | None) -> Iterator[None]:
    """Stops the run when somebody asks for it, or when its time is over."""
    over = threading.Event()
    ends_at = None if seconds is None else time.monotonic() + seconds

    def watch() -> None:
        while not over.wait(_LOOK_S):
            if ends_at is not None and time.monotonic() >= ends_at:
                ending.ask("budget_seconds")
            if ending.asked.is_set():
                control.stop()
                return

    thread = threading.Thread(target=watch, name="ending", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
