"""`judge canary`: record what a model scores on the golden questions, and compare a build with a record.

Exit codes of `check`: 0 as recorded, 10 drift, 2 no record that fits (or wrong usage, or an engine that fails).
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from judge.canary import CanaryReport, check_canary, find_record, record_canary
from judge.cli.files import write_text
from judge.cli.options import override_engine
from judge.config import EngineConfig, load_config
from judge.engines.base import Engine
from judge.engines.build import build_engine

EXIT_NO_RECORD, EXIT_DRIFT = 2, 10
_RECORD_EXAMPLES = """
Examples:

  judge canary record --model HuggingFaceTB/SmolVLM-256M-Instruct --out smolvlm.canary.json

  judge canary record --config server.yaml --out server.canary.json
"""
_CHECK_EXAMPLES = """
Examples:

  judge canary check

  judge canary check --engine vllm --dtype bfloat16

  judge canary check --config server.yaml --record server.canary.json --json

Exit codes: 0 as recorded; 10 the scores drifted; 2 there is no record that fits, wrong usage, or the engine failed.
"""

canary_app = typer.Typer(
    no_args_is_help=True,
    help="Check that a build of a model still scores as recorded. Every engine is checked so when it starts.",
)

_Config = Annotated[Optional[Path], typer.Option(help="YAML with every setting.")]  # noqa: UP045
_Engine = Annotated[Optional[str], typer.Option(help="As for `judge score`.")]  # noqa: UP045
_Model = Annotated[Optional[str], typer.Option(help="As for `judge score`.")]  # noqa: UP045
_Device = Annotated[Optional[str], typer.Option(help="auto, cpu, cuda, cuda:0...")]  # noqa: UP045
_Dtype = Annotated[Optional[str], typer.Option(help="auto, float32, bfloat16, float16.")]  # noqa: UP045


@canary_app.command(epilog=_RECORD_EXAMPLES)
def record(  # noqa: PLR0917  (one parameter per option)
    config: _Config = None,
    engine: _Engine = None,
    model: _Model = None,
    device: _Device = None,
    dtype: _Dtype = None,
    out: Annotated[Optional[Path], typer.Option(help="Where to write the record; else standard output.")] = None,  # noqa: UP045
) -> None:
    """Ask a model the golden questions and write down its scores, as JSON."""
    settings = _engine_settings(config, engine=engine, model=model, device=device, dtype=dtype)
    found = asyncio.run(record_canary(build_engine(settings)))
    text = found.model_dump_json(indent=1) + "\n"
    if out is None:
        print(text, end="")
        return
    write_text(out, text)
    print(f"{out}: {len(found.scores)} scores of model '{found.model}' on {found.runtime}", file=sys.stderr)


@canary_app.command(epilog=_CHECK_EXAMPLES)
def check(  # noqa: PLR0917  (one parameter per option)
    config: _Config = None,
    engine: _Engine = None,
    model: _Model = None,
    device: _Device = None,
    dtype: _Dtype = None,
    record: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="The record; else that of the configuration, else the one that ships for this model."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Compare a model, as it runs here, with its record."""
    settings = _engine_settings(config, engine=engine, model=model, device=device, dtype=dtype)
    report = asyncio.run(_check(build_engine(settings), record or settings.canary_file))
    if as_json:
        print(report.model_dump_json(indent=1))
    else:
        _print(report)
    raise typer.Exit({"ok": 0, "drift": EXIT_DRIFT}.get(report.status, EXIT_NO_RECORD))


async def _check(engine: Engine, own: Path | None) -> CanaryReport:
    return await check_canary(engine, find_record(engine.info.name, own))


def _engine_settings(
    config: Path | None, *, engine: str | None, model: str | None, device: str | None, dtype: str | None
) -> EngineConfig:
    base = load_config(config).engine if config else EngineConfig()
    return override_engine(base, engine=engine, model=model, device=device, dtype=dtype)


def _print(report: CanaryReport) -> None:
    console = Console(width=None if sys.stdout.isatty() else 150)
    if report.comparisons:
        table = Table("picture", "statement", "recorded p", "found p", "log-odds off", "mass", "found mass", "")
        for each in report.comparisons:
            table.add_row(
                each.picture or "-",
                escape(each.statement),
                f"{each.recorded_p_yes:.4f}",
                "-" if each.found_p_yes is None else f"{each.found_p_yes:.4f}",
                "-" if each.log_odds is None else f"{each.log_odds:.2g}",
                f"{each.recorded_mass:.4f}",
                f"{each.found_mass:.4f}",
                "[red]drifted[/]" if each.drifted else "ok",
            )
        console.print(table)
    console.print(escape(report.message))
    if report.hint:
        console.print(escape(report.hint))
