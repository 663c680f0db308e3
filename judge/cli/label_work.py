"""How `judge label` has its rows judged: how many judges, where, and how it is told to end. Not here: its options."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Protocol

from rich.console import Console

from judge.bulk.estimate import Estimate, estimate
from judge.bulk.job import PARTS, RUN_FILE, Ending, Executor, LabelJob, Outcome, run_job
from judge.bulk.judging import JudgingSpec
from judge.bulk.local import LocalExecutor
from judge.bulk.parts import Parts
from judge.bulk.plan import Cluster, DecoderSpec, ReadPlan
from judge.bulk.reader import anything_left
from judge.bulk.run_file import read_run
from judge.cli.judging_options import is_embedded
from judge.cli.label_progress import LabelProgress
from judge.config import EngineConfig

_MOST_SMALL = 8
"""Judges of the embedded model that are started by default."""
_GPUS = Path("/proc/driver/nvidia/gpus")
"""A folder for each GPU: to ask torch would take seconds."""


@dataclass(frozen=True)
class LabelWork:
    """How the rows are judged; `journal` is a file that gets a line for every row before it is."""

    judging: JudgingSpec
    decoder: DecoderSpec
    cluster: Cluster
    near: bool
    journal: Path | None

    def run(self, job: LabelJob, total: int | None, messages: Console) -> Outcome:
        ending, parts = Ending(), Parts(job.out / PARTS)
        n_before = parts.n_rows
        if _is_done(job, parts):  # no engine is loaded for nothing
            return run_job(job, LocalExecutor(self.judging), ending)
        bar = LabelProgress(messages, total, n_before)
        with self._executor(messages) as executor, _signals(ending, messages), bar as progress:
            return run_job(job, executor, ending, progress.update)

    def estimate(self, plan: ReadPlan) -> Estimate:
        n_written = Parts(plan.parts).n_rows
        tried = 2 * plan.bundle_rows
        if self.judging.takes_bytes:
            return estimate(plan, self.judging, (), n_written=n_written, judges=self.cluster.judges, tried=tried)
        decoder = self.decoder.start()
        try:
            return estimate(
                plan, self.judging, (decoder,), n_written=n_written, judges=self.cluster.judges, tried=tried
            )
        finally:
            decoder.close()

    @contextmanager
    def _executor(self, messages: Console) -> Iterator[Executor]:
        """A service is asked from this process; engines of our own are held by actors."""
        if self.judging.takes_bytes:
            yield LocalExecutor(self.judging, workers=self.cluster.judges, journal=self.journal)
            return
        ray: _RayModule = import_module("judge.bulk.cluster")
        messages.print("starting Ray and the engines...", style="dim")
        with ray.started(self.cluster):
            yield ray.RayExecutor(self.judging, self.decoder, self.cluster, self.near, self.journal)


class _RayModule(Protocol):
    """`judge.bulk.cluster`, which is imported by name: the command line itself needs no Ray."""

    RayExecutor: Callable[[JudgingSpec, DecoderSpec, Cluster, bool, Path | None], Executor]
    started: Callable[[Cluster], AbstractContextManager[None]]


def _is_done(job: LabelJob, parts: Parts) -> bool:
    found = read_run(job.out / RUN_FILE)
    if found is None or found.job != job.record or found.status not in ("complete", "limit"):
        return False
    return not anything_left(replace(job.plan, written=tuple(parts.spans)))


def cluster_of(
    engine: EngineConfig,
    address: str | None,
    *,
    judges: int | None,
    cpus: float | None,
    gpus: float | None,
    decoders: int | None,
) -> Cluster:
    """For this machine: a judge on every GPU. Without one: one judge, whose libraries use all cores but those of the
    decoders; of the embedded model one on every core, which is faster than more threads (docs/log.md), for about 0.8 GB
    each."""
    n_here = len(list(_GPUS.glob("*"))) if address is None else 0
    wants_gpu = engine.name != "openai" and (
        engine.device.startswith("cuda") or (engine.device == "auto" and n_here > 0)
    )
    gpus_each = float(wants_gpu) if gpus is None else gpus
    n_cores = os.cpu_count() or 1
    alone = min(n_cores, _MOST_SMALL) if address is None and is_embedded(engine) else 1
    n_judges = judges or (max(int(n_here / gpus_each), 1) if gpus_each else alone)
    threads = max((n_cores - max(n_cores // 8, 1)) // n_judges, 1) if address is None and not gpus_each else 1
    return Cluster(address, n_judges, float(threads) if cpus is None else cpus, gpus_each, decoders or n_judges)


@contextmanager
def _signals(ending: Ending, messages: Console) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM asks for the end, the next one ends it at once. Both keep what is written."""

    def ask(number: int, _: object) -> None:
        if ending.asked.is_set():
            raise KeyboardInterrupt
        ending.ask("interrupted")
        messages.print("ending: what is being judged is written first (once more ends it at once)...", style="dim")

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
