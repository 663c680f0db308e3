"""`judge ablate`: one labelled set through a grid of settings."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Optional

import typer
import yaml
from rich.console import Console
from rich.progress import Progress, TaskID

from judge.assets import constitution_path, scan_paths
from judge.bench.ablation import Ablation, Run, Setting, settings, slow_settings
from judge.bench.ablation_table import plot, rows, table, to_json
from judge.bench.labelled import LabelledSet, load_split, split_names
from judge.cli.files import write_text
from judge.cli.options import override_engine
from judge.cli.start import start_engine
from judge.config import JudgeConfig, RelevanceSettings, load_config
from judge.constitution import load_constitution
from judge.errors import ConfigError, did_you_mean

EXAMPLES = """
Examples:

  judge stickers generate out/stickers --count 100

  judge ablate out/stickers

  judge ablate out/stickers --split test --setting "chain, log_odds" --setting "chain + region" --count 50

  judge ablate out/stickers --split test --slow --count 50

  judge ablate FOLDER --constitution general --engine vllm --model OWNER/NAME --out out/ablation

--slow compares reasoning, vote and debate with the plain chain, also by what 1000 written tokens ("w.") gain;
--setting takes the rows of both tables.

FOLDER holds harmful_image_SPLIT_ann.csv files in VHD11K's columns, and the pictures they name. What can be fitted is
fitted on the calibration split; the other splits are only reported. The scans of the table ship with the embedded
model and were fitted to it and to the policy `stickers`; for others, --config says which encoder scans.
"""


def ablate(  # noqa: PLR0917  (one parameter per option)
    folder: Annotated[Path, typer.Argument(help="Labelled pictures, as `judge stickers generate` writes them.")],
    constitution: Annotated[str, typer.Option(help="Built-in name or YAML file.")] = "stickers",
    calibration: Annotated[str, typer.Option(help="The split to fit on.")] = "calibration",
    split: Annotated[Optional[list[str]], typer.Option(help="A split to report; all others by default.")] = None,  # noqa: UP045
    setting: Annotated[Optional[list[str]], typer.Option(help="Only this setting; several times for more.")] = None,  # noqa: UP045
    slow: Annotated[bool, typer.Option("--slow", help="The rows of reasoning, vote and debate instead.")] = False,
    count: Annotated[Optional[int], typer.Option(min=1, help="Pictures of each split.")] = None,  # noqa: UP045
    engine: Annotated[Optional[str], typer.Option(help="Name of an engine.")] = None,  # noqa: UP045
    model: Annotated[Optional[str], typer.Option(help="Embedded name, folder, or Hugging Face id.")] = None,  # noqa: UP045
    device: Annotated[Optional[str], typer.Option(help="auto, cpu, cuda...")] = None,  # noqa: UP045
    config: Annotated[Optional[Path], typer.Option(help="YAML with every setting; the grid builds on it.")] = None,  # noqa: UP045
    out: Annotated[Optional[Path], typer.Option(help="Folder for JSON, plot and settings.")] = None,  # noqa: UP045
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of tables.")] = False,
) -> None:
    """Measure what each part of the cascade adds, with intervals and costs, on labelled pictures."""
    base = load_config(config) if config else JudgeConfig()
    chosen = override_engine(base.engine, engine=engine, model=model, device=device)
    base = base.model_copy(update={"engine": chosen})
    _refuse_panel(base, debates=slow or any("debate" in name for name in setting or []))
    names = split or [name for name in split_names(folder) if name != calibration]
    if not names:
        raise ConfigError(f"'{folder}' has no split to report", hint="make one: judge stickers generate FOLDER")
    messages = Console(stderr=True)
    fitted_on = _load(folder, calibration, count, messages)
    reported = [loaded for name in names if (loaded := _load(folder, name, count, messages)).items]
    running, _ = start_engine(base.engine, messages)
    policy = load_constitution(constitution_path(constitution))
    scans = _scans(base, policy.name)
    grid = _grid(base, setting or [], slow=slow, writes=running.capabilities.generation, scans=scans)
    with Progress(console=messages, disable=not messages.is_terminal) as progress:
        task = progress.add_task("ablation", total=len(grid) * len(reported))
        runs = asyncio.run(_run_all(Ablation(running, policy, fitted_on), grid, reported, progress, task))
        asyncio.run(running.close())
    found = rows(runs)
    console = Console(width=None if sys.stdout.isatty() else 230)
    if as_json:
        print(json.dumps(to_json(found), indent=1))
    else:
        for loaded in reported:
            console.print(table(loaded.name, found))
    if out is not None:
        write_text(out / "ablation.json", json.dumps(to_json(found), indent=1) + "\n")
        plot(found, out / "ablation.png")
        for run in runs:
            write_text(out / "settings" / f"{_file_name(run.setting.name)}.yaml", _as_config(run.setting))
        messages.print(f"written to {out}: ablation.json, ablation.png, and settings/ for `judge score --config`")


def _refuse_panel(base: JudgeConfig, *, debates: bool) -> None:
    """One engine is measured, which plays every role: roles of other models would be left out in silence."""
    debate = base.cascade.debate
    if debate.panel and (debates or debate.enabled):
        raise ConfigError(
            "judge ablate measures one engine: cascade.debate.panel gives roles to others, which it does not start",
            hint="take cascade.debate.panel out of the settings",
        )


def _load(folder: Path, split: str, count: int | None, messages: Console) -> LabelledSet:
    loaded = load_split(folder, split, count=count)
    for name, reason in loaded.left_out.items():
        messages.print(f"{split}: '{name}' is left out: {reason}", style="yellow", markup=False)
    return loaded


def _file_name(setting: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", setting.lower()).strip("-")


def _as_config(setting: Setting) -> str:
    """What differs from the defaults, as `judge score --config` reads it; the two baselines are no cascade."""
    if setting.way != "cascade":
        return f"# '{setting.name}' is a baseline of the table, not a configuration\n"
    return yaml.safe_dump(setting.config.model_dump(mode="json", exclude_defaults=True), sort_keys=False)


def _scans(base: JudgeConfig, policy: str) -> dict[str, RelevanceSettings]:
    """The scan that the configuration switches on, or else those that ship for this policy and model."""
    if base.cascade.relevance.embedder != "off":
        return {"scan": base.cascade.relevance}
    shipped = scan_paths(policy, base.engine.model)
    return {name: load_config(path).cascade.relevance for name, path in shipped.items()}


def _grid(
    base: JudgeConfig, names: Sequence[str], *, slow: bool, writes: bool, scans: Mapping[str, RelevanceSettings]
) -> list[Setting]:
    """The rows with these names, of either grid; without any, the whole of one."""
    if slow and not writes:
        raise ConfigError("--slow needs an engine that writes texts", hint="choose another --engine or --model")
    first = settings(base, reasoning=writes, scans=scans)
    second = slow_settings(base) if writes else []
    known = {each.name: each for each in (*first, *second)}
    for name in names:
        if name not in known:
            raise ConfigError(f"unknown setting '{name}'", hint=did_you_mean(name, known))
    return [known[name] for name in names] if names else second if slow else first


async def _run_all(
    ablation: Ablation, grid: Sequence[Setting], splits: Sequence[LabelledSet], progress: Progress, task: TaskID
) -> list[Run]:
    runs: list[Run] = []
    for each in grid:
        progress.update(task, description=each.name)
        async for run in ablation.run(each, splits):
            runs.append(run)
            progress.advance(task)
    return runs
