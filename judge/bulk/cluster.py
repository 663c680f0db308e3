"""Runs a labelling with Ray Data: a streaming read, decoders and judges as actors, on this machine or in a cluster.

A row of the data set is a whole pickled bundle, and every block one row, so that nothing is held back to fill a block.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from judge.bulk.control import Control, LocalControl, MayRead
from judge.bulk.item import Bundle, Judged, as_input_error
from judge.bulk.judging import EngineDied, JudgingSpec, Labeller
from judge.bulk.near import NearDuplicates
from judge.bulk.parts import Parts
from judge.bulk.plan import Cluster, DecoderSpec, ReadPlan
from judge.bulk.reader import read_bundles
from judge.errors import ConfigError, EngineError, JudgeError
from judge.types import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    import ray.data

_OBJECT_STORE_BYTES = 256 * 2**20
_CELL = "bundle"


@dataclass(frozen=True)
class RayExecutor:
    """See `judge.bulk.job.Executor`. To be used within `started`."""

    judging: JudgingSpec
    decoder: DecoderSpec
    cluster: Cluster
    near: bool = False
    journal: Path | None = None

    def control(self) -> Control:
        return RemoteControl.start(4 * self.cluster.judges + 2 * self.cluster.decoders)

    def run(self, plan: ReadPlan, control: Control) -> Iterator[Judged]:
        """Raises `EngineError` if Ray gives up."""
        import ray  # noqa: PLC0415

        try:
            for cell in self._stream(plan, control):
                judged: Judged = pickle.loads(cell)
                yield judged
        except ray.exceptions.RayError as error:
            raise EngineError(f"the labelling could not be kept up: {_first_line(error)}") from error

    def _stream(self, plan: ReadPlan, control: Control) -> Iterator[bytes]:
        data = self._dataset(plan, control)
        for batch in data.iter_batches(batch_size=None, prefetch_batches=0, batch_format="pyarrow"):
            cells: pa.ChunkedArray = batch.column(_CELL)  # type: ignore[union-attr]
            for cell in cells:
                yield cell.as_py()

    def _dataset(self, plan: ReadPlan, control: Control) -> ray.data.Dataset:
        import ray  # noqa: PLC0415
        from ray.data import ActorPoolStrategy, DataContext  # noqa: PLC0415

        context = DataContext.get_current()
        context.target_max_block_size = 1
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        context.execution_options.preserve_order = self.near
        here = _on_this_node()
        here_too = {"ray.io/node-id": ray.get_runtime_context().get_node_id()}
        data: ray.data.Dataset = ray.data.read_datasource(
            _bundle_source(plan, control, Path.cwd()), override_num_blocks=1, concurrency=1, num_cpus=0, **here,
        )  # fmt: skip
        if not self.judging.takes_bytes:
            data = data.map(
                Decoding,  # type: ignore[arg-type]
                fn_constructor_args=(self.decoder,), num_cpus=0.5,
                compute=ActorPoolStrategy(size=self.cluster.decoders, max_tasks_in_flight_per_actor=2),
            )  # fmt: skip
            if self.near:
                data = data.map(
                    LookingBack,  # type: ignore[arg-type]
                fn_constructor_args=(plan,), num_cpus=0,
                    compute=ActorPoolStrategy(size=1, max_tasks_in_flight_per_actor=1), label_selector=here_too,
                )  # fmt: skip
        return data.map(
            JudgingActor,  # type: ignore[arg-type]
            fn_constructor_args=(self.judging, control, self.journal),
            num_cpus=self.cluster.cpus, num_gpus=self.cluster.gpus,
            compute=ActorPoolStrategy(size=self.cluster.judges, max_tasks_in_flight_per_actor=2),
        )  # fmt: skip


class _Step(Protocol):
    def __call__(self, bundle: Bundle) -> Bundle: ...


class _Mapped:
    """From cell to cell."""

    step: _Step

    def __call__(self, row: Mapping[str, bytes]) -> dict[str, bytes]:
        return _cell(self.step(pickle.loads(row[_CELL])))


class Decoding(_Mapped):
    """An actor that decodes."""

    def __init__(self, spec: DecoderSpec) -> None:
        self.step = spec.start()


class LookingBack(_Mapped):
    """The one actor that knows every picture's hash."""

    def __init__(self, plan: ReadPlan) -> None:
        self.step = NearDuplicates(Parts(plan.parts, plan.written))


class JudgingActor:
    """An actor with an engine. If the engine dies it ends itself, and Ray starts it again with the same bundle."""

    def __init__(self, judging: JudgingSpec, control: Control, journal: Path | None) -> None:
        self._labeller: Labeller | None = None
        self._error: InputError | None = None
        try:
            self._labeller = Labeller(judging.start(), control, journal)
        except JudgeError as error:
            self._error = as_input_error(error)

    def __call__(self, row: Mapping[str, bytes]) -> dict[str, bytes]:
        bundle: Bundle = pickle.loads(row[_CELL])
        if self._labeller is None:
            return _cell(Judged(bundle.number, (), len(bundle.items), fatal=self._error))
        try:
            return _cell(self._labeller(bundle))
        except EngineDied:
            os.kill(os.getpid(), signal.SIGKILL)
            raise


class RemoteControl:
    """A `Control` that an actor holds. Losing it loses the run, and no row that is written."""

    def __init__(self, actor: object) -> None:
        self._actor = actor

    @classmethod
    def start(cls, most_bundles: int) -> RemoteControl:
        import ray  # noqa: PLC0415

        options = {"num_cpus": 0, "max_restarts": 0, **_on_this_node()}
        return cls(ray.remote(LocalControl).options(**options).remote(most_bundles))

    def may_read(self, number: int, n_bytes: int) -> MayRead:
        answer: MayRead = self._ask("may_read", number, n_bytes)  # type: ignore[assignment]
        return answer

    def is_stopping(self) -> bool:
        return bool(self._ask("is_stopping"))

    def begin(self, number: int) -> int:
        return int(str(self._ask("begin", number)))

    def begin_alone(self, index: int) -> int:
        return int(str(self._ask("begin_alone", index)))

    def end_alone(self, index: int) -> None:
        self._ask("end_alone", index)

    def engine_answers(self, answers: bool) -> bool:
        return bool(self._ask("engine_answers", answers))

    def finished(self, number: int) -> None:
        getattr(self._actor, "finished").remote(number)  # noqa: B009

    def stop(self) -> None:
        self._ask("stop")

    def _ask(self, method: str, *arguments: object) -> object:
        import ray  # noqa: PLC0415

        return ray.get(getattr(self._actor, method).remote(*arguments))


@contextmanager
def started(cluster: Cluster) -> Iterator[None]:
    """Ray, as long as this lasts: a small one of our own that ends with this process, or a running one that stays.

    Raises:
        EngineError: It cannot be started or reached.
    """
    # The cluster started here listens on this machine only. One of your own keeps the token authentication of Ray 2.60.
    if cluster.address is None:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what matters is raised, or a row
    import ray  # noqa: PLC0415
    import ray.data  # noqa: PLC0415  (it sets up its log)

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        with _quiet():
            ray.init(
                address=cluster.address or "local", log_to_driver=False, logging_level=logging.ERROR, **_own(cluster)
            )
    except Exception as error:
        where = f"the Ray cluster '{cluster.address}' cannot be reached" if cluster.address else "Ray cannot be started"
        raise EngineError(f"{where}: {_first_line(error)}") from error
    try:
        _check_room(cluster, ray.cluster_resources())  # type: ignore[no-untyped-call]
        yield
    finally:
        ray.shutdown()


def _check_room(cluster: Cluster, there: Mapping[str, float]) -> None:
    """An actor that finds no room would wait for ever, without a word. A running cluster may still grow.

    Raises:
        ConfigError: There are not enough GPUs.
    """
    wanted, found = cluster.judges * cluster.gpus, there.get("GPU", 0.0)
    if cluster.address is None and wanted > found:
        hint = "lower --concurrency or --gpus, or judge with --device cpu"
        raise ConfigError(f"{cluster.judges} judges need {wanted:g} GPUs, and {found:g} are there", hint=hint)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what Ray's core writes to standard error by itself: that it was told to be quiet."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _own(cluster: Cluster) -> dict[str, Any]:
    if cluster.address is not None:
        return {}
    needed = cluster.judges * cluster.cpus + 0.5 * cluster.decoders + 1
    return {
        "num_cpus": max(os.cpu_count() or 1, int(needed + 0.999)),  # logical: too few would wait for ever
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE_BYTES,
        "_node_ip_address": "127.0.0.1",
    }


def _bundle_source(plan: ReadPlan, control: Control, folder: Path) -> ray.data.Datasource:
    """The source as one task that gives a block for every bundle."""
    from ray.data import Datasource, ReadTask  # noqa: PLC0415
    from ray.data.block import BlockMetadata  # noqa: PLC0415

    def read() -> Iterable[object]:
        import pyarrow as pa  # noqa: PLC0415

        os.chdir(folder)  # relative names are meant there
        for bundle in read_bundles(plan, control):
            yield pa.table({_CELL: pa.array([pickle.dumps(bundle, 5)], type=pa.large_binary())})

    class BundleSource(Datasource):
        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, parallelism: int, *_: object, **__: object) -> list[ReadTask]:
            unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
            return [ReadTask(read, unknown)]

    return BundleSource()  # type: ignore[no-untyped-call]


def _on_this_node() -> dict[str, Any]:
    """What must run where the files are."""
    import ray  # noqa: PLC0415
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # noqa: PLC0415

    node = ray.get_runtime_context().get_node_id()
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)}


def _cell(value: Bundle | Judged) -> dict[str, bytes]:
    return {_CELL: pickle.dumps(value, 5)}


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
