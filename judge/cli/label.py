"""`judge label`: one row of labels for every row of a source, in a folder that can be resumed at any time.

Exit codes: 0 everything was judged, or a budget ended it; 2 wrong usage, or it could not go on; 3 some rows could not
be judged; 130 Ctrl-C.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Optional, Protocol, get_args

import typer
from pydantic import JsonValue
from rich.console import Console

from judge.assets import constitution_names, constitution_path
from judge.bulk.estimate import Estimate, estimate
from judge.bulk.exports.export import Export, export_all
from judge.bulk.job import PARTS, RUN_FILE, Budget, Ending, Executor, LabelJob, Outcome, run_job
from judge.bulk.judging import JudgingSpec, PipelineSpec
from judge.bulk.local import LocalExecutor
from judge.bulk.parts import Parts
from judge.bulk.plan import Cluster, DecoderSpec, ReadPlan, Selection, SourceSpec
from judge.bulk.reader import anything_left
from judge.bulk.run_file import JobRecord, read_run
from judge.cli.debate_examples import judged_examples
from judge.cli.label_endpoint import EndpointSpec
from judge.cli.label_progress import LabelProgress, print_estimate, print_outcome
from judge.cli.options import EXIT_SOME_FAILED, judge_settings
from judge.cli.stages import DebateOrders, RegionLocalizer, Sampling
from judge.config import EngineConfig, JudgeConfig, Preset, StageChoice
from judge.constitution import Constitution, load_constitution
from judge.engines.build import ENGINES
from judge.errors import ConfigError, EngineError
from judge.media import Permissions
from judge.sources.columns import Columns

EXAMPLES = """
Examples:

  judge label pictures/ --out labels

  judge label rows.csv --out labels --limit 1000 --export jsonl --export label-studio

  judge label "shards-{0000..0099}.tar" --out labels --dry-run

  judge label stickers --root out/stickers --split test --out labels --export vhd11k

  judge label hf:OWNER/NAME --out labels --constitution general --model qwen3-vl-2b --device cuda --gpus 1

  judge label s3://bucket/folder --out labels --address auto --concurrency 8 --gpus 1

  judge label pictures/ --out labels --endpoint http://127.0.0.1:8000

SOURCE: a folder, a glob, a table (CSV, TSV, JSON, JSONL, Parquet, xlsx) with paths, URLs or bytes, WebDataset tars,
a Hugging Face data set (hf:NAME, or on disk), s3:// or gs:// and what else fsspec reads, or a dataset card.

Whatever ends it - Ctrl-C, a kill, a power cut, a budget - the same command goes on where it ended: no row is lost, none
comes twice, and nothing that is written is judged again. Rows lie in DIR/rows as Parquet, what they were made with in
DIR/run.json; the columns are explained in docs/label.md.

Exit codes: 0 everything was judged, or the budget is used up; 2 wrong usage, or it could not go on; 3 some rows could
not be judged: they are there, uncertain, with the reason; 130 Ctrl-C.
"""
_EXIT_INTERRUPTED = 130
_MOST_SMALL = 8
"""Judges of the embedded model that are started by default."""
_GPUS = Path("/proc/driver/nvidia/gpus")
"""A folder for each GPU: to ask torch would take seconds."""
_LEFT_OUT = ("cache", "cache_dir", "concurrency")
"""Settings that change no verdict."""


class Duplicates(StrEnum):
    """Which rows share one verdict."""

    none = "none"
    exact = "exact"
    near = "near"


def label(  # noqa: PLR0917  (one parameter per option)
    source: Annotated[str, typer.Argument(help="What to label; see below.")],
    out: Annotated[Path, typer.Option(help="Folder of the labels; the same one to go on.")],
    root: Annotated[Optional[Path], typer.Option(help="Where the files of a table or dataset card lie.")] = None,  # noqa: UP045
    split: Annotated[Optional[str], typer.Option(help="Of a dataset card or data set.")] = None,  # noqa: UP045
    media_column: Annotated[Optional[str], typer.Option(help="Of paths, URLs or bytes; else it is guessed.")] = None,  # noqa: UP045
    id_column: Annotated[Optional[str], typer.Option(help="Of names of the rows.")] = None,  # noqa: UP045
    label_column: Annotated[Optional[str], typer.Option(help="Of labels, which are kept beside ours.")] = None,  # noqa: UP045
    text_column: Annotated[Optional[str], typer.Option(help="Of what was posted with the media.")] = None,  # noqa: UP045
    folder_is_label: Annotated[bool, typer.Option(help="The first folder below SOURCE is the label.")] = False,
    constitution: Annotated[str, typer.Option(help="Built-in name or YAML file.")] = "stickers",
    engine: Annotated[Optional[str], typer.Option(help=f"One of {', '.join(ENGINES.names())}.")] = None,  # noqa: UP045
    model: Annotated[Optional[str], typer.Option(help="Name (see `judge models`), folder, or Hugging Face id.")] = None,  # noqa: UP045
    config: Annotated[Optional[Path], typer.Option(help="YAML with every setting.")] = None,  # noqa: UP045
    preset: Annotated[Optional[str], typer.Option(help=f"One of {', '.join(get_args(Preset))}.")] = None,  # noqa: UP045
    region: Annotated[Optional[RegionLocalizer], typer.Option(help="Region test of what is undecided.")] = None,  # noqa: UP045
    reason: Annotated[Optional[bool], typer.Option(help="Reason step by step about what is undecided.")] = None,  # noqa: UP045
    vote: Annotated[Optional[bool], typer.Option(help="Vote on what is still undecided.")] = None,  # noqa: UP045
    debate: Annotated[Optional[DebateOrders], typer.Option(help="Debate what is still undecided.")] = None,  # noqa: UP045
    sampling: Annotated[Optional[Sampling], typer.Option(help="Which frames of a video are judged.")] = None,  # noqa: UP045
    frames: Annotated[Optional[int], typer.Option(min=1, help="Most frames judged of one video.")] = None,  # noqa: UP045
    device: Annotated[Optional[str], typer.Option(help="auto, cpu, cuda, cuda:0...")] = None,  # noqa: UP045
    dtype: Annotated[Optional[str], typer.Option(help="auto, float32, bfloat16, float16.")] = None,  # noqa: UP045
    limit: Annotated[Optional[int], typer.Option(min=1, help="Only the first so many rows; raise it later.")] = None,  # noqa: UP045
    sample: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the rows, drawn by their ids.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the drawing.")] = 0,
    budget_tokens: Annotated[Optional[int], typer.Option(min=1, help="End after so many in this run.")] = None,  # noqa: UP045
    budget_seconds: Annotated[Optional[float], typer.Option(min=0.1, help="End after so many in this run.")] = None,  # noqa: UP045
    duplicates: Annotated[Duplicates, typer.Option(help="Judged once: same bytes, or also what looks alike.")] = (
        Duplicates.exact
    ),
    export: Annotated[Optional[list[Export]], typer.Option(help="Also write this; several times for more.")] = None,  # noqa: UP045
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Estimate time and cost, and write nothing.")] = False,
    price: Annotated[Optional[float], typer.Option(help="Of a million tokens, for the estimate.")] = None,  # noqa: UP045
    address: Annotated[Optional[str], typer.Option(help="Ray cluster, e.g. auto; else one is started here.")] = None,  # noqa: UP045
    concurrency: Annotated[Optional[int], typer.Option(min=1, help="Judges at work, with an engine each.")] = None,  # noqa: UP045
    cpus: Annotated[Optional[float], typer.Option(min=0.0, help="CPUs of each judge.")] = None,  # noqa: UP045
    gpus: Annotated[Optional[float], typer.Option(min=0.0, help="GPUs of each judge; may be a share.")] = None,  # noqa: UP045
    decoders: Annotated[Optional[int], typer.Option(min=1, help="Processes that decode pictures.")] = None,  # noqa: UP045
    endpoint: Annotated[Optional[str], typer.Option(help="URL of a running service that judges.")] = None,  # noqa: UP045
    api_key: Annotated[Optional[str], typer.Option(envvar="JUDGE_API_KEY", help="For --endpoint.")] = None,  # noqa: UP045
    part_rows: Annotated[int, typer.Option(min=1, help="Most rows of one Parquet file.")] = 256,
    flush_seconds: Annotated[float, typer.Option(min=0.0, help="Write what has come after so long.")] = 60.0,
    journal: Annotated[Optional[Path], typer.Option(help="Append a line for every row before it is judged.")] = None,  # noqa: UP045
    allow_urls: Annotated[bool, typer.Option(help="Fetch http(s) URLs that rows name.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object at the end.")] = False,
) -> None:
    """Label folders, tables, archives and data sets: one row for each of their rows, whatever happens."""
    columns = Columns(media_column, id_column, label_column, text_column, folder_is_label)
    spec = SourceSpec(_absolute(source), root and root.absolute(), split, columns)
    own = judge_settings(config, engine=engine, model=model, preset=preset, device=device, dtype=dtype)
    stages = StageChoice(
        region=region and region.value, reason=reason, vote=vote, debate=debate and debate.value,
        sampling=sampling and sampling.value, frames=frames,
    )  # fmt: skip
    settings = stages.over(own)
    policy = _policy(constitution, endpoint)
    if endpoint is not None:
        _refuse_engine_options({"--engine": engine, "--model": model, "--config": config, "--preset": preset,
                                "--device": device, "--dtype": dtype, "--address": address})  # fmt: skip
    _check_packages(("pyarrow",) if endpoint else ("pyarrow", "pebble", "ray"))
    stream = spec.open()  # whatever is wrong with it is said before an engine is loaded
    messages = Console(stderr=True)
    permissions = Permissions(files=True, urls=allow_urls, max_bytes=settings.video.decoding.max_bytes)
    plan = ReadPlan(
        spec, Selection(sample, seed, limit), permissions, out.absolute() / PARTS,
        bundle_rows=min(settings.concurrency, 64), duplicates=duplicates is not Duplicates.none,
    )  # fmt: skip
    judging = _judging(policy, settings, endpoint, api_key, stages)
    record = JobRecord(
        source=spec.source, root=str(spec.root or ""), split=split or "", columns=_named(columns),
        card=f"{stream.card} {stream.digest}".strip(), share=sample, seed=seed, duplicates=duplicates.value,
        constitution=policy.name, constitution_digest=policy.digest,
        judged_by="service" if endpoint else "pipeline", settings=_recorded(settings, stages, endpoint),
    )  # fmt: skip
    cluster = _cluster(settings.engine, address, judges=concurrency, cpus=cpus, gpus=gpus, decoders=decoders)
    work = _Work(
        judging,
        DecoderSpec(settings.video.decoding),
        cluster,
        duplicates is Duplicates.near,
        journal and journal.absolute(),
    )
    if _is_embedded(settings) and endpoint is None and model is None:
        messages.print(f"note: {_EMBEDDED}", style="yellow")
    if dry_run:
        _print_estimate(work.estimate(plan), price, as_json)
        return
    job = LabelJob(
        out.absolute(), plan, record, policy.text, part_rows, flush_seconds, Budget(budget_tokens, budget_seconds)
    )
    total = stream.total if sample >= 1.0 else None
    total = limit if total is None else min(total, limit or total)
    outcome = work.run(job, total, messages)
    written = _export(out.absolute(), export or [])
    print_outcome(out, outcome, written, messages, as_json=as_json)
    raise typer.Exit(_exit_code(out.absolute(), outcome))


_EMBEDDED = "no --model given: the embedded model answers; it judges scenes of emoji stickers only, never photographs"


@dataclass(frozen=True, slots=True)
class _Policy:
    """The constitution, or what is known of one that a service has."""

    name: str
    digest: str
    text: str
    loaded: Constitution | None
    path: Path | None


@dataclass(frozen=True)
class _Work:
    """How the rows are judged."""

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


def _absolute(source: str) -> str:
    """The same name for the same folder, wherever the command is run."""
    return str(Path(source).absolute()) if Path(source).is_dir() else source


def _policy(name: str, endpoint: str | None) -> _Policy:
    """A service may know constitutions that this program does not: then there is only the name."""
    if endpoint is not None and name not in constitution_names() and not Path(name).exists():
        return _Policy(name, "", "", None, None)
    path = constitution_path(name)
    loaded = load_constitution(path)
    return _Policy(f"{loaded.name}@{loaded.version}", loaded.digest, path.read_text(encoding="utf-8"), loaded, path)


def _judging(
    policy: _Policy, settings: JudgeConfig, endpoint: str | None, api_key: str | None, stages: StageChoice
) -> JudgingSpec:
    if endpoint is not None:
        is_file = (
            policy.path is not None and policy.loaded is not None and policy.loaded.name not in constitution_names()
        )
        name = policy.loaded.name if policy.loaded else policy.name
        return EndpointSpec(endpoint, api_key, None if is_file else name, policy.text if is_file else None, stages)
    assert policy.loaded is not None
    assert policy.path is not None
    debate, clip_frames = settings.cascade.debate, settings.video.clips.frames
    return PipelineSpec(
        policy.loaded, settings, judged_examples(policy.loaded, policy.path.parent, debate, clip_frames)
    )


def _refuse_engine_options(options: Mapping[str, object]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ConfigError(f"{', '.join(given)} cannot be given with --endpoint: the service has its own settings")


def _check_packages(names: Sequence[str]) -> None:
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"judge label needs the package '{missing[0]}', which is not installed",
            hint="pip install 'visual-judge[label]'",
        )


def _named(columns: Columns) -> dict[str, JsonValue]:
    return {name: value for name, value in asdict(columns).items() if value}


def _recorded(settings: JudgeConfig, stages: StageChoice, endpoint: str | None) -> Mapping[str, JsonValue]:
    found: dict[str, JsonValue] = (stages if endpoint else settings).model_dump(mode="json")
    return {name: value for name, value in found.items() if name not in _LEFT_OUT}


def _cluster(
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
    alone = min(n_cores, _MOST_SMALL) if address is None and _is_embedded_engine(engine) else 1
    n_judges = judges or (max(int(n_here / gpus_each), 1) if gpus_each else alone)
    threads = max((n_cores - max(n_cores // 8, 1)) // n_judges, 1) if address is None and not gpus_each else 1
    return Cluster(address, n_judges, float(threads) if cpus is None else cpus, gpus_each, decoders or n_judges)


def _is_embedded(settings: JudgeConfig) -> bool:
    return _is_embedded_engine(settings.engine)


def _is_embedded_engine(engine: EngineConfig) -> bool:
    default = EngineConfig()
    return (engine.name, engine.model) == (default.name, default.model)


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


def _export(out: Path, exports: list[Export]) -> list[Path]:
    record = read_run(out / RUN_FILE)
    return export_all(Parts(out / PARTS), record, out, exports) if record and exports else []


def _print_estimate(found: Estimate, price: float | None, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found.as_json(price), indent=1))
    else:
        print_estimate(Console(width=None if sys.stdout.isatty() else 100), found, price)


def _exit_code(out: Path, outcome: Outcome) -> int:
    if outcome.error is not None:
        raise EngineError(outcome.error.message, hint=outcome.error.hint)
    if outcome.why == "interrupted":
        return _EXIT_INTERRUPTED
    return EXIT_SOME_FAILED if _n_failed(Parts(out / PARTS)) else 0


def _n_failed(parts: Parts) -> int:
    """In the whole folder, whichever run wrote them."""
    codes = (code for span in parts.spans for code in parts.columns(span, ("error_code",))["error_code"])
    return sum(bool(code) for code in codes)
