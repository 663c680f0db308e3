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
from rich.progress import track
from rich.table import Table

from judge import __version__
from judge.assets import constitution_names, constitution_path, model_names, model_path
from judge.cli.authoring import add_commands
from judge.cli.score import engine_failed, score_all
from judge.cli.table import print_explanation, print_table
from judge.config import EngineConfig, JudgeConfig, Preset, load_config
from judge.constitution import check_file, load_constitution
from judge.engines.build import ENGINES, build_engine
from judge.engines.model_folder import read_card
from judge.errors import ConfigError, JudgeError
from judge.media import FoundInput, Permissions, expand_inputs
from judge.pipeline import Judge
from judge.report.page import Card, render_page
from judge.types import ScoreRow

EXIT_USAGE, EXIT_SOME_FAILED, EXIT_FAIL_ON = 2, 3, 10
_EMBEDDED = "no --model given: the embedded model answers; it judges scenes of emoji stickers only, never photographs"
_EXAMPLES = """
Examples:

  judge score photo.jpg

  judge score pictures/ "more/*.png" --jsonl > verdicts.jsonl

  ls *.png | judge score - --fail-on unsafe

  judge score pictures/ --report out.html --explain

Exit codes: 0 everything was judged; 2 wrong usage; 3 some inputs could not be judged;
10 something matched --fail-on (comes before 3). An input that could not be judged counts as uncertain.
"""

app = typer.Typer(
    no_args_is_help=True,
    help="Decide whether images are harmful under a written policy.",
    add_completion=False,
    pretty_exceptions_enable=False,
)
constitution_app = typer.Typer(no_args_is_help=True, help="Work with constitutions.")
app.add_typer(constitution_app, name="constitution")
add_commands(constitution_app)


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
    """Decide whether images are harmful under a written policy."""


@app.command(epilog=_EXAMPLES)
def score(  # noqa: PLR0917  (one parameter per option)
    inputs: Annotated[list[str], typer.Argument(help="Files, folders, globs, URLs, or - for a list on stdin.")],
    constitution: Annotated[str, typer.Option(help="Built-in name or YAML file.")] = "stickers",
    engine: Annotated[Optional[str], typer.Option(help=f"One of {', '.join(ENGINES.names())}.")] = None,  # noqa: UP045
    model: Annotated[Optional[str], typer.Option(help="Embedded name, folder, or Hugging Face id.")] = None,  # noqa: UP045
    config: Annotated[Optional[Path], typer.Option(help="YAML with every setting.")] = None,  # noqa: UP045
    preset: Annotated[Optional[str], typer.Option(help="none, threshold, clue or log_odds.")] = None,  # noqa: UP045
    device: Annotated[Optional[str], typer.Option(help="auto, cpu, cuda, cuda:0...")] = None,  # noqa: UP045
    dtype: Annotated[Optional[str], typer.Option(help="auto, float32, bfloat16, float16.")] = None,  # noqa: UP045
    as_json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line, as soon as it is known.")] = False,
    report: Annotated[Optional[Path], typer.Option(help="Also write an HTML page.")] = None,  # noqa: UP045
    fail_on: Annotated[Optional[FailOn], typer.Option(help="Exit with 10 if any verdict is this.")] = None,  # noqa: UP045
    explain: Annotated[bool, typer.Option(help="Show every rule and reading.")] = False,
    allow_urls: Annotated[bool, typer.Option(help="Fetch http(s) URLs given as inputs.")] = False,
) -> None:
    """Judge images: unsafe, safe or uncertain, with the rule and the reason."""
    settings = _settings(config, engine=engine, model=model, preset=preset, device=device, dtype=dtype)
    console, messages = Console(width=None if sys.stdout.isatty() else 150), Console(stderr=True)
    policy = load_constitution(constitution_path(constitution))
    found = expand_inputs(inputs, sys.stdin if "-" in inputs else ())
    judge: Judge | None = None
    if any(isinstance(each, FoundInput) for each in found):
        default = EngineConfig()
        if model is None and (settings.engine.name, settings.engine.model) == (default.name, default.model):
            messages.print(f"note: {_EMBEDDED}", style="yellow")
        judge = Judge(build_engine(settings.engine), policy, settings)
    cards: list[Card] = []
    rows: list[ScoreRow] = []
    permissions = Permissions(files=True, urls=allow_urls)
    stream = score_all(judge, found, permissions, batch=settings.concurrency, thumbnails=report is not None)
    for card in track(stream, "judging", total=len(found), console=messages, disable=not messages.is_terminal):
        rows.append(card.row)
        if report:
            cards.append(card)
        if as_jsonl:
            print(card.row.model_dump_json(), flush=True)
    if as_json:
        print(json.dumps([row.model_dump(mode="json") for row in rows], indent=1))
    elif not as_jsonl:
        print_table(console, rows)
    if explain and not (as_json or as_jsonl):
        for row in rows:
            print_explanation(console, row)
    if report:
        _write(report, render_page(cards))
        messages.print(f"report: {report}")
    raise typer.Exit(_exit_code(rows, fail_on))


def _settings(
    config: Path | None,
    *,
    engine: str | None,
    model: str | None,
    preset: str | None,
    device: str | None,
    dtype: str | None,
) -> JudgeConfig:
    """The configuration file with the options laid over it."""
    base = load_config(config) if config else JudgeConfig()
    options = {"name": engine, "model": model, "device": device, "dtype": dtype}
    chosen = {name: value for name, value in options.items() if value}
    known: tuple[Preset, ...] = ("none", "threshold", "clue", "log_odds")
    if preset is not None and preset not in known:
        raise ConfigError(f"unknown preset '{preset}'", hint=f"one of {', '.join(known)}")
    thresholds = base.thresholds.model_copy(update={"preset": preset} if preset else {})
    return base.model_copy(update={"engine": base.engine.model_copy(update=chosen), "thresholds": thresholds})


def _exit_code(rows: list[ScoreRow], fail_on: FailOn | None) -> int:
    unsafe = any(row.decision == "unsafe" for row in rows)
    uncertain = any(row.decision == "uncertain" for row in rows)
    if (fail_on and unsafe) or (fail_on is FailOn.uncertain and uncertain):
        return EXIT_FAIL_ON
    return EXIT_SOME_FAILED if any(row.error or engine_failed(row) for row in rows) else 0


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be written: {error.strerror}") from error


@app.command()
def models(as_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """List the models that come with this installation."""
    names = list(model_names())
    if as_json:
        print(json.dumps(names))
        return
    table = Table("model", "domain")
    for name in names:
        folder = model_path(name)
        domain = read_card(folder).domain if folder else None
        table.add_row(name, domain.description if domain else "")
    Console().print(table)
    print("Any Hugging Face id or model folder works as --model too.")


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


@constitution_app.command()
def check(
    file: Annotated[Path, typer.Argument(help="YAML file.")], as_json: Annotated[bool, typer.Option("--json")] = False
) -> None:
    """Check a constitution: errors with file, line, rule and fix. Exits with 2 if there is an error."""
    problems = check_file(file)
    if as_json:
        fields = ("severity", "line", "where", "message", "fix")
        print(json.dumps([{name: getattr(p, name) for name in fields} for p in problems]))
    else:
        for problem in problems:
            print(problem)
        if not problems:
            print(f"{file}: no problems")
    raise typer.Exit(EXIT_USAGE if any(p.severity == "error" for p in problems) else 0)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []})
def stickers(context: typer.Context) -> None:
    """generate | train | evaluate: the embedded model's world (needs the `stickers` extra)."""
    raise typer.Exit(importlib.import_module("judge.stickers.command").main(context.args))


def main() -> None:
    """Entry point: library errors become one line and an exit code."""
    try:
        app()
    except JudgeError as error:
        print(f"judge: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    except ModuleNotFoundError as error:
        if error.name not in {"torch", "transformers"}:
            raise
        hint = "pip install 'visual-judge[transformers]'"
        print(f"judge: the module '{error.name}' is missing ({hint})", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    except KeyboardInterrupt:
        sys.exit(130)
