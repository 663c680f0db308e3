"""`judge bench`: detectors on a labelled set, measured, compared and shown.

Exit codes: 0 measured; 2 wrong usage; 3 measured, but some media was not answered because of errors.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from judge.bench.bench_report import mistake_thumbnails, tables
from judge.bench.detectors.base import Detector
from judge.bench.evaluate import Options, evaluate
from judge.bench.measures import ROUNDS
from judge.bench.page import render_bench
from judge.bench.perturbations import PERTURBATIONS, VERSION, Perturbation, chosen
from judge.bench.predictions import (
    PredictionFile,
    read_predictions,
    read_run,
    read_samples,
    replace_text,
    write_samples,
)
from judge.bench.records import DetectorRecord, RunRecord, to_json
from judge.bench.references import PUBLISHED
from judge.bench.results import BenchResult, DetectorResult
from judge.bench.run import Plan, predict, with_labels
from judge.cli.files import write_text
from judge.cli.options import EXIT_SOME_FAILED
from judge.errors import ConfigError, did_you_mean
from judge.media import DEFAULT_DECODING, Permissions
from judge.report.plain import brief
from judge.sources.open import open_source
from judge.sources.sample import Sample
from judge.sources.stream import SampleStream

RESULTS, PAGE = "results.json", "report.html"
_FAMILIES = ", ".join(dict.fromkeys(each.family for each in PERTURBATIONS.values()))
EXAMPLES = f"""
Examples:

  judge stickers generate out/stickers --count 200 --split test

  judge bench --dataset stickers --root out/stickers --split test --detector ours-fast --out out/bench

  judge bench --dataset vhd11k-images --root data/vhd11k --detector nudenet --detector q16,threshold=0.6 --out out/vhd

  judge bench --dataset labelled.csv --detector ours-fast,label=ours --robustness jpeg,overlay --out out/mine

  judge bench --report-only --out out/bench --json

DATASET is a card (see `judge datasets list`), or what `judge label` takes: a folder of classes, a table with labels...
--out gets predictions.jsonl, from which everything is computed, samples.jsonl, run.json, {RESULTS} and {PAGE}. The
same command again asks only for what is missing there; more detectors may be added to it.
Perturbations: {_FAMILIES}, or all.

Exit codes: 0 measured; 2 wrong usage; 3 measured, but errors left some media unanswered (--retry-failed asks again).
"""


def bench(  # noqa: PLR0917  (one parameter per option)
    out: Annotated[Path, typer.Option(help="Folder for predictions and results; a run there is resumed.")],
    dataset: Annotated[Optional[str], typer.Option(help="Dataset card or labelled source.")] = None,  # noqa: UP045
    root: Annotated[Optional[Path], typer.Option(help="Where the files of a dataset card lie.")] = None,  # noqa: UP045
    split: Annotated[Optional[str], typer.Option(help="Of the data set.")] = None,  # noqa: UP045
    detector: Annotated[Optional[list[str]], typer.Option(help="NAME[,key=value...]; several times for more.")] = None,  # noqa: UP045
    robustness: Annotated[Optional[str], typer.Option(help="Perturbations with commas, or all.")] = None,  # noqa: UP045
    limit: Annotated[Optional[int], typer.Option(min=1, help="Only the first labelled samples.")] = None,  # noqa: UP045
    batch: Annotated[int, typer.Option(min=1, help="Most pictures in one call of a detector.")] = 16,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Ask again where there was an error.")] = False,
    all_categories: Annotated[
        bool, typer.Option("--all-categories", help="Count all kinds of harm for every detector.")
    ] = False,
    reference: Annotated[
        Optional[str], typer.Option(help="Published figures of this card, or none; by default the data set's.")  # noqa: UP045
    ] = None,
    rounds: Annotated[int, typer.Option(min=20, help="Resamples behind every interval.")] = ROUNDS,
    seed: Annotated[int, typer.Option(help="Of the resamples.")] = 0,
    thumbnails: Annotated[bool, typer.Option(help="Small pictures of the worst mistakes in the page.")] = True,
    allow_urls: Annotated[bool, typer.Option("--allow-urls", help="Fetch media behind http(s) URLs.")] = False,
    report_only: Annotated[bool, typer.Option("--report-only", help="Measure what is in --out; ask nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The results as JSON instead of tables.")] = False,
) -> None:
    """Measure detectors on a labelled data set: quality, agreement, robustness, fairness and cost."""
    messages = Console(stderr=True)
    options = Options(all_categories=all_categories, rounds=rounds, seed=seed, published=_reference(reference))
    permissions = Permissions(files=True, urls=allow_urls, max_bytes=DEFAULT_DECODING.max_bytes)
    changes = chosen(robustness) if robustness else ()
    if report_only:
        if dataset or detector or robustness:
            raise ConfigError("--report-only asks nothing", hint="leave out --dataset, --detector and --robustness")
        labels: Sequence[str] = ()
    else:
        if not dataset or not detector:
            raise ConfigError("what to measure, and on what?", hint="give --dataset and --detector, or --report-only")
        stream = open_source(dataset, root=root, split=split)
        samples, unlabelled = _labelled(stream, limit)
        labels = _run(
            detector, samples, unlabelled, _record(stream, split), changes,
            out=out, batch=batch, retry_failed=retry_failed, permissions=permissions, messages=messages,
        )  # fmt: skip
    result = _result(out, labels, options)
    replace_text(out / RESULTS, to_json(result, indent=1) + "\n")
    pictures = mistake_thumbnails(result, read_samples(out), permissions) if thumbnails else {}
    write_text(out / PAGE, render_bench(result, pictures))
    if as_json:
        print(to_json(result, indent=1))
    else:
        _print(result)
    messages.print(f"results: {out / RESULTS}, page: {out / PAGE}", markup=False, soft_wrap=True)
    raise typer.Exit(EXIT_SOME_FAILED if any(each.tally.errors for each in result.detectors) else 0)


def _reference(name: str | None) -> str | None:
    if name is None or name in PUBLISHED:
        return name
    if name == "none":
        return ""
    raise ConfigError(f"no published figures for '{name}'", hint=did_you_mean(name, ("none", *PUBLISHED)))


def _record(stream: SampleStream, split: str | None) -> RunRecord:
    return RunRecord(
        source=stream.name, card=stream.card, card_digest=stream.digest, split=split or "", perturbed_by=VERSION
    )


def _labelled(stream: SampleStream, limit: int | None) -> tuple[list[Sample], list[Sample]]:
    """The samples that can be measured, and the others that came between them."""
    samples: list[Sample] = []
    unlabelled: list[Sample] = []
    for sample in stream:
        if sample.harmful is None:
            unlabelled.append(sample)
        elif limit is not None and len(samples) == limit:
            break
        else:
            samples.append(sample)
    if not samples:
        why = f": {unlabelled[0].problem}" if unlabelled and unlabelled[0].problem else ""
        hint = "choose another split, or name the column of labels in a card" if unlabelled else ""
        raise ConfigError(f"'{stream.name}' has no labelled samples{why}", hint=hint)
    return samples, unlabelled


def _run(
    texts: Sequence[str],
    samples: Sequence[Sample],
    unlabelled: Sequence[Sample],
    record: RunRecord,
    changes: tuple[Perturbation, ...],
    *,
    out: Path,
    batch: int,
    retry_failed: bool,
    permissions: Permissions,
    messages: Console,
) -> Sequence[str]:
    """Ask what is missing; gives the labels of the detectors."""
    detectors = _start(texts, messages)
    try:
        records = {label: DetectorRecord.of(each.info) for label, each in detectors.items()}
        plan = Plan(detectors, changes, permissions, batch)
        with PredictionFile(out, record.model_copy(update={"detectors": records})) as file:
            write_samples(out, [*samples, *unlabelled])
            asyncio.run(_predict(samples, plan, file, retry_failed, messages))
    finally:
        asyncio.run(_close(detectors))
    return tuple(detectors)


def _start(texts: Sequence[str], messages: Console) -> Mapping[str, Detector]:
    """All settings are read before any model is loaded; what was loaded is closed if a later one fails."""
    from judge.bench.detectors.build import build_detector, parse_detector  # noqa: PLC0415  (reaches model libraries)

    settings = [parse_detector(text) for text in texts]
    started: list[tuple[str, Detector]] = []
    try:
        for text, each in zip(texts, settings, strict=True):
            with messages.status(f"loading {escape(text)}"):
                started.append((each.label, build_detector(each)))
        return with_labels(started)
    except BaseException:
        asyncio.run(_close({str(place): detector for place, (_, detector) in enumerate(started)}))
        raise


async def _close(detectors: Mapping[str, Detector]) -> None:
    for each in detectors.values():
        await each.close()


async def _predict(
    samples: Sequence[Sample], plan: Plan, file: PredictionFile, retry_failed: bool, messages: Console
) -> None:
    done = file.done(retry_failed=retry_failed)
    if done:
        messages.print(f"{len(done)} predictions are there already", highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=messages, disable=not messages.is_terminal, transient=True) as progress:
        task = progress.add_task("predictions", total=sum(len(plan.keys(each)) for each in samples))
        async for finished in predict(samples, plan, file, done):
            progress.update(task, completed=finished)


def _result(out: Path, labels: Sequence[str], options: Options) -> BenchResult:
    run = read_run(out)
    if run is None:
        raise ConfigError(f"'{out}' holds no benchmark run", hint="give --dataset and --detector to make one")
    return evaluate(run, read_samples(out), read_predictions(out), labels or tuple(run.detectors), options)


def _about_frames(each: DetectorResult) -> Iterator[str]:
    """What is not in the measures by frame, or not as it stood there."""
    found = each.frames
    if found is None:
        return
    for reason, count in islice(found.silent.items(), 3):
        yield f"{count} without scores along time: {brief(reason, 200)}"
    for reason, count in islice(found.reasons.items(), 3):
        yield f"{count} left out frame by frame: {brief(reason, 200)}"
    if found.unclear:
        yield f"{found.unclear} frames left out, because the data set leaves them open"
    if found.cut:
        yield f"{found.cut} with a harmful moment that ends after the video, and is cut there"


def _print(result: BenchResult) -> None:
    console = Console(width=None if sys.stdout.isatty() else 150)
    for table in tables(result):
        console.print(table)
    for each in result.detectors:
        tally = each.tally
        if tally.other_category or tally.no_category:
            left_out = f"{tally.other_category} harmful samples of other kinds and {tally.no_category} of no known kind"
            console.print(f"{each.label}: {left_out} are left out", markup=False, highlight=False)
        for reason, count in islice(tally.reasons.items(), 3):
            console.print(f"{each.label}: {count} not answered: {brief(reason, 200)}", markup=False, highlight=False)
        for said in _about_frames(each):
            console.print(f"{each.label}: {said}", markup=False, highlight=False)
    for note in result.notes:
        console.print(f"note: {note}", style="yellow", markup=False)
