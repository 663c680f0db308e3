"""`judge label`: one row of labels for every row of a source, in a folder that can be resumed at any time.

Exit codes: 0 everything was judged, or a budget ended it; 2 wrong usage, or it could not go on; 3 some rows could not
be judged; 130 Ctrl-C.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Optional

import typer
from pydantic import JsonValue
from rich.console import Console

from judge.assets import constitution_names, constitution_path
from judge.bulk.estimate import Estimate
from judge.bulk.exports.export import Export, export_all
from judge.bulk.job import PARTS, RUN_FILE, Budget, LabelJob, Outcome
from judge.bulk.judging import JudgingSpec, PipelineSpec
from judge.bulk.parts import Parts
from judge.bulk.plan import DecoderSpec, ReadPlan, Selection, SourceSpec
from judge.bulk.run_file import JobRecord, read_run
from judge.cli.debate_examples import judged_examples
from judge.cli.judging_options import (
    EMBEDDED_NOTE,
    ConfigFile,
    ConstitutionName,
    DebateChoice,
    DeviceName,
    DtypeName,
    EngineName,
    FramesChoice,
    ModelName,
    PresetName,
    ReasonChoice,
    RegionChoice,
    SamplingChoice,
    VoteChoice,
    is_embedded,
    stage_choice,
)
from judge.cli.label_endpoint import EndpointSpec
from judge.cli.label_progress import print_estimate, print_outcome
from judge.cli.label_work import LabelWork, cluster_of
from judge.cli.options import EXIT_SOME_FAILED, judge_settings
from judge.config import JudgeConfig, StageChoice
from judge.constitution import Constitution, load_constitution
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
    constitution: ConstitutionName = "stickers",
    engine: EngineName = None,
    model: ModelName = None,
    config: ConfigFile = None,
    preset: PresetName = None,
    region: RegionChoice = None,
    reason: ReasonChoice = None,
    vote: VoteChoice = None,
    debate: DebateChoice = None,
    sampling: SamplingChoice = None,
    frames: FramesChoice = None,
    device: DeviceName = None,
    dtype: DtypeName = None,
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
    stages = stage_choice(region=region, reason=reason, vote=vote, debate=debate, sampling=sampling, frames=frames)
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
    cluster = cluster_of(settings.engine, address, judges=concurrency, cpus=cpus, gpus=gpus, decoders=decoders)
    work = LabelWork(
        judging,
        DecoderSpec(settings.video.decoding),
        cluster,
        duplicates is Duplicates.near,
        journal and journal.absolute(),
    )
    if is_embedded(settings.engine) and endpoint is None and model is None:
        messages.print(EMBEDDED_NOTE, style="yellow")
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


@dataclass(frozen=True, slots=True)
class _Policy:
    """The constitution, or what is known of one that a service has."""

    name: str
    digest: str
    text: str
    loaded: Constitution | None
    path: Path | None


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
