"""Runs a labelling in this process, with threads: for a service's client, and for tests."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from judge.bulk.control import Control, LocalControl
from judge.bulk.item import Bundle, Judged
from judge.bulk.judging import EngineDied, JudgingSpec, Labeller
from judge.bulk.plan import ReadPlan
from judge.bulk.reader import read_bundles

Step = Callable[[Bundle], Bundle]
"""What is done to a bundle before it is judged."""
_UNLIMITED = 2**62


@dataclass(frozen=True)
class LocalExecutor:
    """See `judge.bulk.job.Executor`.

    Attributes:
        judging: Started once for each of `workers`.
        steps: Done in the order of reading, by one thread.
    """

    judging: JudgingSpec
    steps: tuple[Step, ...] = ()
    workers: int = 1
    journal: Path | None = None

    def control(self) -> Control:
        return LocalControl(_UNLIMITED, _UNLIMITED)  # nothing is read before it is asked for

    def run(self, plan: ReadPlan, control: Control) -> Iterator[Judged]:
        workers = _Workers(self, control)
        pending: set[Future[Judged]] = set()
        try:
            with ThreadPoolExecutor(self.workers, thread_name_prefix="judge") as pool:
                for bundle in read_bundles(plan, control):
                    pending.add(pool.submit(workers.judge, self._prepared(bundle)))
                    yield from _done(pending, enough=2 * self.workers)
                yield from _done(pending, enough=0)
        finally:
            workers.close()

    def _prepared(self, bundle: Bundle) -> Bundle:
        for step in self.steps:
            bundle = step(bundle)
        return bundle


class _Workers:
    """One labeller a thread, started when it is first needed."""

    def __init__(self, executor: LocalExecutor, control: Control) -> None:
        self._executor = executor
        self._control = control
        self._mine = threading.local()
        self._all: list[Labeller] = []

    def judge(self, bundle: Bundle) -> Judged:
        try:
            return self._labeller()(bundle)
        except EngineDied:
            self._mine.labeller.close()
            self._all.remove(self._mine.labeller)
            del self._mine.labeller
            return self._labeller()(bundle)

    def close(self) -> None:
        for labeller in self._all:
            labeller.close()

    def _labeller(self) -> Labeller:
        if not hasattr(self._mine, "labeller"):
            started = Labeller(self._executor.judging.start(), self._control, self._executor.journal)
            self._mine.labeller = started
            self._all.append(started)
        labeller: Labeller = self._mine.labeller
        return labeller


def _done(pending: set[Future[Judged]], enough: int) -> Iterator[Judged]:
    """What is finished; waits until there are no more than `enough` left."""
    while pending:
        done = {future for future in pending if future.done()}
        if not done and len(pending) <= enough:
            return
        if not done:
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
        pending -= done
        yield from (future.result() for future in done)
