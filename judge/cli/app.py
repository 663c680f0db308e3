"""The commands and their options. Exit codes: 0 judged, 2 usage, 3 some inputs could not be judged, 10 `--fail-on`."""

from __future__ import annotations

import importlib
import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console
from rich.table import Table

from judge import __version__
from judge.assets import constitution_names, constitution_path
from judge.cli.ablate import EXAMPLES as ABLATE_EXAMPLES
from judge.cli.ablate import ablate
from judge.cli.authoring import add_commands
from judge.cli.bars import Bars
from judge.cli.bench import EXAMPLES as BENCH_EXAMPLES
from judge.cli.bench import bench
from judge.cli.calibrate import EXAMPLES as CALIBRATE_EXAMPLES
from judge.cli.calibrate import calibrate
from judge.cli.canary import canary_app
from judge.cli.constitution import constitution_app
from judge.cli.debate import debate_app
from judge.cli.debate_examples import judged_examples
from judge.cli.detectors import EXAMPLES as DETECTORS_EXAMPLES
from judge.cli.detectors import detectors
from judge.cli.explanation import print_explanation
from judge.cli.files import write_text
from judge.cli.fit_scan import EXAMPLES as FIT_SCAN_EXAMPLES
from judge.cli.fit_scan import fit_scan
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
from judge.cli.label import EXAMPLES as LABEL_EXAMPLES
from judge.cli.label import label
from judge.cli.models import models
from judge.cli.options import EXIT_FAIL_ON, EXIT_SOME_FAILED, EXIT_USAGE, judge_settings
from judge.cli.pipes import flush_pipes, watch_pipes
from judge.cli.score import score_all
from judge.cli.sets import datasets_app
from judge.cli.start import close_all, start_judge
from judge.cli.table import print_table
from judge.constitution import load_constitution
from judge.engines.base import Engine
from judge.errors import JudgeError
from judge.media import FoundInput, Permissions, expand_inputs
from judge.pipeline import Judge, engine_failed
from judge.report.page import Card, render_page
from judge.types import ScoreRow

_EXAMPLES = """
Examples:

  judge score photo.jpg

  judge score pictures/ "more/*.png" --jsonl > verdicts.jsonl

  ls *.png | judge score - --fail-on unsafe

  judge score pictures/ --report out.html --explain

  judge score photo.jpg --region occlusion --explain

  judge score clip.mp4 --explain --report clip.html

  judge score photo.jpg --vote --debate one --explain

Exit codes: 0 everything was judged; 2 wrong usage; 3 some inputs could not be judged;
10 something matched --fail-on (comes before 3); 141 the output was closed before its end, as by `| head`.
An input that could not be judged counts as uncertain.
"""

_EXTRAS = {
    **dict.fromkeys(("torch", "transformers"), "transformers"),
    **dict.fromkeys(("pyarrow", "fsspec"), "label"),
    **dict.fromkeys(("ray", "fastapi", "sqlalchemy", "alembic", "pebble", "limits", "multipart"), "serve"),
}
"""Modules that may be missing, and the extra that brings them."""

app = typer.Typer(
    no_args_is_help=True,
    help="Decide whether images and videos are harmful under a written policy.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(constitution_app, name="constitution")
add_commands(constitution_app)
app.add_typer(canary_app, name="canary")
app.add_typer(debate_app, name="debate")
app.add_typer(datasets_app, name="datasets")
app.command()(models)


class FailOn(StrEnum):
    """What makes `--fail-on` exit with 10; `uncertain` includes unsafe."""

    unsafe = "unsafe"
    uncertain = "uncertain"


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"visual-judge {__version__}")
        raise typer.Exit


@app.callback()
def _root(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False) -> None:
    """Decide whether images and videos are harmful under a written policy."""


@app.command(epilog=_EXAMPLES)
def score(  # noqa: PLR0917  (one parameter per option)
    inputs: Annotated[list[str], typer.Argument(help="Files, folders, globs, URLs, or - for a list on stdin.")],
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
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line, as soon as it is known.")] = False,
    report: Annotated[Optional[Path], typer.Option(help="Also write an HTML page.")] = None,  # noqa: UP045
    fail_on: Annotated[Optional[FailOn], typer.Option(help="Exit with 10 if any verdict is this.")] = None,  # noqa: UP045
    explain: Annotated[bool, typer.Option(help="Show every rule and reading.")] = False,
    allow_urls: Annotated[bool, typer.Option(help="Fetch http(s) URLs given as inputs.")] = False,
) -> None:
    """Judge images and videos: unsafe, safe or uncertain, with the rule, the reason and, for a video, the time."""
    settings = judge_settings(config, engine=engine, model=model, preset=preset, device=device, dtype=dtype)
    chosen = stage_choice(region=region, reason=reason, vote=vote, debate=debate, sampling=sampling, frames=frames)
    settings = chosen.over(settings)
    console, messages = Console(width=None if sys.stdout.isatty() else 150), Console(stderr=True)
    found = expand_inputs(inputs, sys.stdin if "-" in inputs else ())
    bars = Bars(messages)
    path = constitution_path(constitution)
    policy = load_constitution(path)
    judge: Judge | None = None
    engines: list[Engine] = []
    if any(isinstance(each, FoundInput) for each in found):
        if model is None and is_embedded(settings.engine):
            messages.print(EMBEDDED_NOTE, style="yellow")
        examples = judged_examples(policy, path.parent, settings.cascade.debate, settings.video.clips.frames)
        judge, engines = start_judge(policy, settings, examples, messages, bars)
    cards: list[Card] = []
    rows: list[ScoreRow] = []
    permissions = Permissions(files=True, urls=allow_urls, max_bytes=settings.video.decoding.max_bytes)
    stream = score_all(
        judge, found, permissions, batch=settings.concurrency, thumbnails=report is not None,
        decoding=settings.video.decoding,
    )  # fmt: skip
    with bars:
        for card in bars.over(stream, len(found)):
            rows.append(card.row)
            if report:
                cards.append(card)
            if as_jsonl:
                print(card.row.model_dump_json(), flush=True)
    close_all(engines)
    if report:  # first: whoever reads what follows may stop reading
        write_text(report, render_page(cards))
        messages.print(f"report: {report}")
    if as_json:
        print(json.dumps([row.model_dump(mode="json") for row in rows], indent=1))
    elif not as_jsonl:
        print_table(console, rows)
    if explain and not (as_json or as_jsonl):
        for row in rows:
            print_explanation(console, row)
    raise typer.Exit(_exit_code(rows, fail_on))


def _exit_code(rows: list[ScoreRow], fail_on: FailOn | None) -> int:
    unsafe = any(row.decision == "unsafe" for row in rows)
    uncertain = any(row.decision == "uncertain" for row in rows)
    if (fail_on and unsafe) or (fail_on is FailOn.uncertain and uncertain):
        return EXIT_FAIL_ON
    return EXIT_SOME_FAILED if any(row.error or (row.verdict and engine_failed(row.verdict)) for row in rows) else 0


app.command(epilog=ABLATE_EXAMPLES)(ablate)
app.command(epilog=BENCH_EXAMPLES)(bench)
app.command(epilog=CALIBRATE_EXAMPLES)(calibrate)
app.command(epilog=FIT_SCAN_EXAMPLES)(fit_scan)
app.command(epilog=LABEL_EXAMPLES)(label)
app.command(epilog=DETECTORS_EXAMPLES)(detectors)


@app.command()
def constitutions(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """List the policies that come with this installation."""
    loaded = [load_constitution(constitution_path(name)) for name in constitution_names()]
    if as_json:
        print(
            json.dumps(
                [{"name": c.name, "version": c.version, "rules": len(c.rules), "digest": c.digest} for c in loaded]
            )
        )
        return
    table = Table("constitution", "version", "rules", "description")
    for c in loaded:
        table.add_row(c.name, c.version, str(len(c.rules)), c.description)
    Console().print(table)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def stickers(context: typer.Context) -> None:
    """generate | train | evaluate: the embedded model's world (needs the `stickers` extra)."""
    raise typer.Exit(importlib.import_module("judge.stickers.command").main(context.args))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def serve(context: typer.Context) -> None:
    """Serve verdicts over HTTP (needs the `serve` extra)."""
    raise typer.Exit(importlib.import_module("serve.command").main(context.args))


def main() -> None:
    """Entry point: library errors become one line and an exit code; a reader who has gone ends it quietly."""
    watch_pipes()
    try:
        app()
    except JudgeError as error:
        print(f"judge: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(error.name or "")
        if extra is None:
            raise
        hint = f"pip install 'visual-judge[{extra}]'"
        print(f"judge: the module '{error.name}' is missing ({hint})", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        flush_pipes()
