"""`judge calibrate`: thresholds with a guarantee, from labelled pictures.

Exit codes: 0 fitted; 2 wrong usage; 3 fitted, but some pictures could not be used.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Optional

import typer
import yaml
from pydantic import JsonValue, TypeAdapter
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from judge.assets import constitution_path
from judge.bench.calibration import Applied, JudgedSet, SideResult, fit, judge_samples, measure
from judge.bench.calibration_page import render_calibration
from judge.calibrate import LEVELS, Design, SideFit, StageFit
from judge.cli.files import write_text
from judge.cli.options import EXIT_SOME_FAILED, judge_settings
from judge.cli.stages import DebateOrders, RegionLocalizer
from judge.cli.start import close_all, start_engine, start_panel
from judge.config import Calibrated, JudgeConfig, StageChoice
from judge.constitution import load_constitution
from judge.engines.base import Engine
from judge.errors import ConfigError
from judge.media import Permissions
from judge.metrics import Measured
from judge.pipeline import Judge
from judge.sources.columns import Columns
from judge.sources.open import open_source
from judge.sources.stream import SampleStream

EXAMPLES = """
Examples:

  judge stickers generate out/stickers --count 1000

  judge calibrate stickers --root out/stickers --split calibration --test test --out calibrated.yaml --report fit.html

  judge calibrate labelled.csv --constitution general --max-error 0.05 --confidence 0.95 --out calibrated.yaml

  judge score pictures/ --config calibrated.yaml

SOURCE is what `judge label` takes, with labels: a dataset card (with --root), folders named harmful and harmless (or
unsafe and safe, yes and no), a table whose column `label` or `decision` has such words.
The promise: of what a stage calls unsafe, at most --max-error is harmless, and of what it calls safe, at most
--max-error is harmful; all of this with --confidence, for media drawn like the labelled ones. What cannot be settled
so is uncertain. With few labels, or a weak judge, that may be everything.

Exit codes: 0 fitted; 2 wrong usage; 3 fitted, but some pictures could not be used.
"""
_SHOWN = 5
_LEVELS = ",".join(f"{level:g}" for level in LEVELS)


def calibrate(  # noqa: PLR0917  (one parameter per option)
    source: Annotated[str, typer.Argument(help="Labelled pictures to fit on.")],
    out: Annotated[Path, typer.Option(help="Where to write settings for `--config` of every command.")],
    root: Annotated[Optional[Path], typer.Option(help="Where the files of a dataset card lie.")] = None,  # noqa: UP045
    split: Annotated[Optional[str], typer.Option(help="The split to fit on.")] = None,  # noqa: UP045
    test: Annotated[Optional[list[str]], typer.Option(help="A split to measure on; several times for more.")] = None,  # noqa: UP045
    constitution: Annotated[str, typer.Option(help="Built-in name or YAML file.")] = "stickers",
    max_error: Annotated[float, typer.Option(help="alpha: largest share of wrong answers on each side.")] = 0.1,
    confidence: Annotated[float, typer.Option(help="1 - delta: how sure that must be.")] = 0.9,
    levels: Annotated[str, typer.Option(help="Shares of the media that a side may settle, strict to loose.")] = _LEVELS,
    seed: Annotated[int, typer.Option(help="Of the split into parts that place and parts that test.")] = 0,
    region: Annotated[Optional[RegionLocalizer], typer.Option(help="As `judge score`.")] = None,  # noqa: UP045
    reason: Annotated[Optional[bool], typer.Option("--reason/--no-reason", help="As `judge score`.")] = None,  # noqa: UP045
    vote: Annotated[Optional[bool], typer.Option("--vote/--no-vote", help="As `judge score`.")] = None,  # noqa: UP045
    debate: Annotated[Optional[DebateOrders], typer.Option(help="As `judge score`.")] = None,  # noqa: UP045
    engine: Annotated[Optional[str], typer.Option(help="Name of an engine.")] = None,  # noqa: UP045
    model: Annotated[Optional[str], typer.Option(help="Embedded name, folder, or Hugging Face id.")] = None,  # noqa: UP045
    device: Annotated[Optional[str], typer.Option(help="auto, cpu, cuda...")] = None,  # noqa: UP045
    config: Annotated[Optional[Path], typer.Option(help="YAML with every setting; what is written adds to it.")] = None,  # noqa: UP045
    report: Annotated[Optional[Path], typer.Option(help="Write an HTML page: tests, errors, reliability.")] = None,  # noqa: UP045
    force: Annotated[bool, typer.Option("--force", help="Overwrite the files.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Fit thresholds whose errors are bounded, with a stated confidence, on labelled pictures."""
    for path in (out, report):
        if path is not None and path.exists() and not force:
            raise ConfigError(f"'{path}' exists already", hint="choose another name, or --force")
    design = Design(max_error, confidence, _levels(levels), seed=seed)
    base = judge_settings(config, engine=engine, model=model, device=device).model_copy(update={"calibrated": None})
    base = StageChoice(
        region=region.value if region else None, reason=reason, vote=vote, debate=debate.value if debate else None
    ).over(base)
    policy, messages = load_constitution(constitution_path(constitution)), Console(stderr=True)
    classes = Columns(folder_is_label=True)
    streams = [open_source(source, root=root, split=name, columns=classes) for name in (split, *(test or ()))]
    running, _ = start_engine(base.engine, messages)
    panel: Mapping[str, Engine] = {}
    try:
        panel, _ = start_panel(base, messages)
        judge = Judge(running, policy, base, panel=panel)
        judged = _judged(judge, streams[0], base.concurrency, messages)
        fitted, fits = fit(judge, judged, design)
        settings = base.model_copy(update={"calibrated": fitted})
        judge = Judge(running, policy, settings, panel=panel)
        applied = [measure(_judged(judge, each, base.concurrency, messages), judge.stages) for each in streams[1:]]
    finally:
        close_all([running, *panel.values()])
    _tell(judged.left_out, messages)
    if as_json:
        print(json.dumps(_as_json(fitted, fits, judged, applied), indent=1))
    else:
        _print(fitted, fits, applied)
    write_text(out, _as_yaml(settings, fitted))
    if report is not None:
        write_text(report, render_calibration(fitted, fits, applied, judged.left_out))
    messages.print(f"written to {out}, for `judge score --config`", markup=False, soft_wrap=True)
    raise typer.Exit(EXIT_SOME_FAILED if judged.left_out else 0)


def _levels(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--levels '{text}' are no numbers", hint="e.g. 0.1,0.3,0.5") from error


def _judged(judge: Judge, stream: SampleStream, batch: int, messages: Console) -> JudgedSet:
    return asyncio.run(_judge_all(judge, stream, batch, messages))


async def _judge_all(judge: Judge, stream: SampleStream, batch: int, messages: Console) -> JudgedSet:
    found = JudgedSet(stream.name)
    with Progress(console=messages, disable=not messages.is_terminal, transient=True) as progress:
        task = progress.add_task(f"judging {stream.name}", total=stream.total)
        async for found in judge_samples(judge, stream.name, stream, permissions=Permissions(files=True), batch=batch):
            progress.update(task, completed=len(found.items) + len(found.left_out))
    return found


def _tell(left_out: Mapping[str, str], messages: Console) -> None:
    for name, reason in islice(left_out.items(), _SHOWN):
        messages.print(f"'{name}' is left out: {reason}", style="yellow", markup=False, soft_wrap=True)
    if len(left_out) > _SHOWN:
        messages.print(f"{len(left_out)} samples are left out in all; --json lists them", style="yellow")


def _print(fitted: Calibrated, fits: Sequence[StageFit], applied: Sequence[Applied]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 130)
    title = f"fitted on {fitted.data.name}: {fitted.data.n} pictures, {fitted.data.n_harmful} harmful"
    table = Table("stage", "side", "threshold", "level", "tested", "wrong", "error at most", "why not", title=title)
    for stage, each in zip(fitted.stages, fits, strict=True):
        for name, side in (("unsafe", each.unsafe), ("safe", each.safe)):
            table.add_row(stage.stage, name, *_cells(side, fitted.max_error))
    console.print(table)
    for result in applied:
        console.print(_applied(result, fitted))
        rules, wrong = result.by_rules
        print(f"settled: {_share(result.covered, result.n)}; the rules alone: {_share(rules, result.n)}, "
              f"of these wrong {_share(wrong, rules)}")  # fmt: skip
        print(f"ECE of the score {_shown(result.ece_before)}, of the calibrated score {_shown(result.ece_after)}")


def _cells(side: SideFit, max_error: float) -> tuple[str, ...]:
    if side.chosen is not None:
        best = side.chosen
        return f"{best.threshold:.3f}", f"{best.level:g}", str(best.n), str(best.n_wrong), f"{best.upper_bound:.3f}", ""
    if not side.tested:
        return "-", "-", "-", "-", "-", "too few labels to promise anything: it settles nothing"
    first = side.tested[0]
    why = f"over {max_error:g} already at the strictest: it settles nothing"
    return "-", f"{first.level:g}", str(first.n), str(first.n_wrong), f"{first.upper_bound:.3f}", why


def _applied(result: Applied, fitted: Calibrated) -> Table:
    title = f"measured on {result.name}: {result.n} pictures"
    table = Table("stage", "side", "settled", "wrong", "error [95 %, exact]", "promised", title=title)
    for side in result.sides:
        table.add_row(side.stage, side.side, str(side.n), str(side.n_wrong), _error(side), f"<= {fitted.max_error:g}")
    return table


def _error(side: SideResult) -> str:
    return f"{side.n_wrong / side.n:.3f} [{side.low:.3f}, {side.high:.3f}]" if side.n else "-"


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({part / whole:.1%})" if whole else "0 of 0"


def _shown(value: Measured | None) -> str:
    return str(value) if value is not None else "-"


def _as_json(
    fitted: Calibrated, fits: Sequence[StageFit], judged: JudgedSet, applied: Sequence[Applied]
) -> dict[str, JsonValue]:
    return {
        "calibrated": fitted.model_dump(mode="json"),
        "digest": fitted.digest,
        "tests": TypeAdapter(Sequence[StageFit]).dump_python(fits, mode="json"),
        "applied": TypeAdapter(Sequence[Applied]).dump_python(applied, mode="json"),
        "left_out": dict(judged.left_out),
    }


def _as_yaml(settings: JudgeConfig, fitted: Calibrated) -> str:
    """What differs from the defaults."""
    head = (
        f"# Fitted on {fitted.data.name} ({fitted.data.n} pictures): at most {fitted.max_error:g} of each side\n"
        f"# is wrong, with confidence {fitted.confidence:g}. Refused with another model, policy or other settings.\n"
    )
    return head + yaml.safe_dump(settings.model_dump(mode="json", exclude_defaults=True), sort_keys=False)
