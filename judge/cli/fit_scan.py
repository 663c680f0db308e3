"""`judge fit-scan`: the relevance scan's threshold from labelled pictures.

Exit codes: 0 fitted; 2 wrong usage, or too few labels; 3 fitted, but some pictures could not be used.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Optional

import typer
import yaml
from rich.console import Console
from rich.progress import Progress

from judge.assets import constitution_path
from judge.bench.rule_labels import RuleLabel, load_rule_labels
from judge.bench.scan_fit import ScanFit, check_enough
from judge.bench.scan_table import compare, in_words, notes, table, to_json
from judge.bench.scanned import ScannedPicture, scan_pictures
from judge.cli.files import write_text
from judge.cli.options import EXIT_SOME_FAILED, override_engine
from judge.config import JudgeConfig, RelevanceSettings, load_config
from judge.constitution import load_constitution
from judge.errors import ConfigError
from judge.stages.build import EMBEDDERS, build_scan
from judge.stages.relevance import may_drop

EXAMPLES = """
Examples:

  judge fit-scan out/stickers --embedder siglip --model stickers-siglip --recall 0.98

  judge fit-scan labelled/ --constitution general --embedder siglip --model FOLDER --recall 0.95

  judge fit-scan a/ b/ --split train --embedder clip --model FOLDER --recall 0.99 --out scan.yaml

  judge score pictures/ --constitution general --config scan.yaml

A folder holds harmful_image_SPLIT_ann.csv and the pictures it names; scenes_SPLIT.jsonl (`violated`) or the column
harmfulType (ids with semicolons) says which rules each one violates. Recall counts the violated rules that the scan
may drop: those of severity high and critical are always asked, unless --no-always-ask.

Exit codes: 0 fitted; 2 wrong usage, or too few labels; 3 fitted, but some pictures could not be used.
"""
_SHOWN = 5


def fit_scan(  # noqa: PLR0917  (one parameter per option)
    labelled: Annotated[list[Path], typer.Argument(help="Folders of labelled pictures.")],
    constitution: Annotated[str, typer.Option(help="Built-in name or YAML file.")] = "stickers",
    split: Annotated[str, typer.Option(help="The split to fit on.")] = "calibration",
    embedder: Annotated[Optional[str], typer.Option(help=f"{' or '.join(EMBEDDERS.names())}.")] = None,  # noqa: UP045
    model: Annotated[Optional[str], typer.Option(help="Embedded name, folder, or Hugging Face id.")] = None,  # noqa: UP045
    recall: Annotated[float, typer.Option(help="Share of the violated rules that must still be asked.")] = 0.99,
    confidence: Annotated[float, typer.Option(help="Of the bounds.")] = 0.95,
    always_ask: Annotated[Optional[bool], typer.Option(help="Never drop severe rules.")] = None,  # noqa: UP045
    count: Annotated[Optional[int], typer.Option(min=1, help="Pictures of each folder.")] = None,  # noqa: UP045
    device: Annotated[Optional[str], typer.Option(help="auto, cpu, cuda...")] = None,  # noqa: UP045
    config: Annotated[Optional[Path], typer.Option(help="YAML with every setting; what is written adds to it.")] = None,  # noqa: UP045
    out: Annotated[Optional[Path], typer.Option(help="Where to write settings for `judge score --config`.")] = None,  # noqa: UP045
    force: Annotated[bool, typer.Option("--force", help="Overwrite that file.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of the table.")] = False,
) -> None:
    """Fit the relevance scan's threshold on labelled pictures, with an exact lower bound of what it keeps."""
    _check_shares(recall=recall, confidence=confidence)
    if out is not None and out.exists() and not force:
        raise ConfigError(f"'{out}' exists already", hint="choose another name, or --force")
    base = load_config(config) if config else JudgeConfig()
    base = base.model_copy(update={"engine": override_engine(base.engine, engine=None, model=None, device=device)})
    base = _with_scan(base, _chosen(base.cascade.relevance, embedder, model, always_ask))
    policy, messages = load_constitution(constitution_path(constitution)), Console(stderr=True)
    rules = tuple(rule for rule in policy.rules if "image" in rule.modalities)
    labels, left_out = _labels(labelled, split, [rule.id for rule in rules], count)
    named = [may_drop(base.cascade.relevance, policy.rule(name)) for label in labels for name in label.violated]
    check_enough(sum(named), len(named) - sum(named), recall, confidence)  # before the pictures are read
    scan = build_scan(policy, base)
    assert scan is not None, "an embedder is chosen"
    stream = scan_pictures(scan, rules, labels, max_frames=base.max_frames)
    pictures, unreadable = asyncio.run(_scanned(stream, len(labels), messages))
    left_out |= unreadable
    _tell(left_out, messages)
    fit = ScanFit(policy, rules, pictures, base.cascade.relevance, confidence=confidence)
    fitted = fit.fit(recall)
    found = compare(fit, fitted, target=recall, left_out=left_out)
    if as_json:
        print(json.dumps({"model_digest": scan.model_digest, **to_json(found)}, indent=1))
    else:
        Console(width=None if sys.stdout.isatty() else 130).print(table(found))
        print(notes(found))
    if out is not None:
        encoder = f"encoder {scan.model_digest[:12]}"
        head = f"# Scan fitted to {policy.name}@{policy.version} (sha256 {policy.digest[:12]}), {encoder}:"
        write_text(out, f"{head}\n# {in_words(found)}\n{_as_yaml(_with_scan(base, fitted))}")
        messages.print(f"written to {out}, for `judge score --config`", markup=False, soft_wrap=True)
    raise typer.Exit(EXIT_SOME_FAILED if left_out else 0)


def _check_shares(**shares: float) -> None:
    for name, share in shares.items():
        if not 0.0 < share < 1.0:
            raise ConfigError(
                f"--{name} {share:g} is not between 0 and 1",
                hint="no number of labels supports 1" if share == 1 else "",
            )


def _chosen(
    base: RelevanceSettings, embedder: str | None, model: str | None, always_ask: bool | None
) -> RelevanceSettings:
    kind = embedder or base.embedder
    if kind not in EMBEDDERS.names():
        known = ", ".join(EMBEDDERS.names())
        raise ConfigError(f"--embedder '{kind}' is none" if embedder else "no encoder is named", hint=f"one of {known}")
    if kind != base.embedder and model is None:
        raise ConfigError(f"--embedder {kind} needs its --model", hint="a folder, or a Hugging Face id")
    severities = base.always_ask
    if always_ask is not None:
        severities = RelevanceSettings().always_ask if always_ask else ()
    return base.model_copy(update={"embedder": kind, "model": model or base.model, "always_ask": severities})


def _with_scan(base: JudgeConfig, scan: RelevanceSettings) -> JudgeConfig:
    return base.model_copy(update={"cascade": base.cascade.model_copy(update={"relevance": scan})})


def _labels(
    folders: Sequence[Path], split: str, rules: Collection[str], count: int | None
) -> tuple[list[RuleLabel], dict[str, str]]:
    """Of all folders together; reasons by picture for what is of no use."""
    labels: list[RuleLabel] = []
    left_out: dict[str, str] = {}
    for folder in folders:
        found = load_rule_labels(folder, split, rules, count=count)
        labels += found.items
        left_out.update(found.left_out)
    if not labels:
        first = next(iter(left_out.items()), ("", "there are no rows"))
        raise ConfigError(f"no label can be used: {': '.join(part for part in first if part)}")
    return labels, left_out


async def _scanned(
    stream: AsyncIterator[tuple[RuleLabel, ScannedPicture | str]], total: int, messages: Console
) -> tuple[list[ScannedPicture], dict[str, str]]:
    """The pictures, and the reasons by picture for those that cannot be read."""
    pictures: list[ScannedPicture] = []
    unreadable: dict[str, str] = {}
    with Progress(console=messages, disable=not messages.is_terminal) as progress:
        task = progress.add_task("scanning", total=total)
        async for label, found in stream:
            if isinstance(found, str):
                unreadable[str(label.path)] = found
            else:
                pictures.append(found)
            progress.advance(task)
    return pictures, unreadable


def _tell(left_out: Mapping[str, str], messages: Console) -> None:
    for name, reason in islice(left_out.items(), _SHOWN):
        messages.print(f"'{name}' is left out: {reason}", style="yellow", markup=False, soft_wrap=True)
    if len(left_out) > _SHOWN:
        messages.print(f"{len(left_out)} pictures are left out in all; --json lists them", style="yellow")


def _as_yaml(config: JudgeConfig) -> str:
    """What differs from the defaults."""
    return yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True), sort_keys=False)
