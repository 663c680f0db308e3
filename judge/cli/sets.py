"""`judge datasets`: which data sets have a card, what a card says, and whether the files on disk are as it says."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Optional

import typer
import yaml
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from judge.assets import card_names
from judge.cli.options import EXIT_SOME_FAILED
from judge.sources.card import Card
from judge.sources.card_file import find_card, load_card
from judge.sources.check import CardReport, SplitReport, check_card
from judge.sources.sample import Sample
from judge.sources.stream import SampleStream

_LIST_EXAMPLES = """
Examples:

  judge datasets list

  judge datasets list --json
"""
_SHOW_EXAMPLES = """
Examples:

  judge datasets show vhd11k-images

  judge datasets show my-card.yaml --json
"""
_CHECK_EXAMPLES = """
Examples:

  judge datasets check vhd11k-images --root data/vhd11k

  judge datasets check stickers --root out/stickers --split test --json

  judge datasets check my-card.yaml --root data/mine

Without --split every split that is there is read, and media that no row names is looked for. No media is opened.

Exit codes: 0 as the card says; 2 wrong usage, or a table that cannot be read; 3 something is wrong.
"""
_COUNTS = ("rows", "harmful", "unharmful", "unlabelled", "left_out", "missing", "unreadable", "duplicates", "doubtful")

datasets_app = typer.Typer(no_args_is_help=True, help="Data sets with labels: their cards, and checks of their files.")


@datasets_app.command("list", epilog=_LIST_EXAMPLES)
def list_cards(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """List the data sets that have a card. None of them comes with this package but the sticker scenes."""
    cards = [load_card(name) for name in card_names()]
    if as_json:
        print(json.dumps([_summary(card) for card in cards], indent=1))
        return
    table = Table("card", "title", "media", "splits", "label", "licence")
    for card in cards:
        splits = ", ".join(card.splits[:3]) + (f" and {len(card.splits) - 3} more" if len(card.splits) > 3 else "")
        row = (card.name, card.title, card.modality, splits, card.label.rule, card.licence)
        table.add_row(*map(escape, row))
    Console(width=None if Console().is_terminal else 150).print(table)
    print("`judge datasets show NAME` says how to get one, how its labels are read, and what to mind.")


@datasets_app.command(epilog=_SHOW_EXAMPLES)
def show(
    name: Annotated[str, typer.Argument(help="Name of a card, or a YAML file.")],
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Show a card: how to get the data set, how it is read, and what to mind."""
    fields = find_card(name).model_dump(mode="json", exclude_defaults=True)
    if as_json:
        print(json.dumps(fields, indent=1))
    else:
        print(yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=110).rstrip())


@datasets_app.command(epilog=_CHECK_EXAMPLES)
def check(
    name: Annotated[str, typer.Argument(help="Name of a card, or a YAML file.")],
    root: Annotated[Path, typer.Option(help="The folder with the data set's files.")],
    split: Annotated[Optional[str], typer.Option(help="Only this split.")] = None,  # noqa: UP045
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Count rows and labels, and find missing media, unreadable labels, duplicates and media of no row."""
    messages = Console(stderr=True)
    with Progress(console=messages, disable=not messages.is_terminal, transient=True) as progress:
        report = check_card(find_card(name), root, split, watch=lambda samples: _watched(samples, progress))
    if as_json:
        print(report.model_dump_json(indent=1))
    else:
        _print(report, Console(width=None if Console().is_terminal else 150))
    raise typer.Exit(EXIT_SOME_FAILED if report.wrong else 0)


def _watched(samples: Iterable[Sample], progress: Progress) -> Iterator[Sample]:
    name, total = (samples.name, samples.total) if isinstance(samples, SampleStream) else ("rows", None)
    task = progress.add_task(escape(name), total=total)
    for sample in samples:
        progress.advance(task)
        yield sample


def _summary(card: Card) -> dict[str, object]:
    return {
        "name": card.name, "title": card.title, "home": card.home, "modality": card.modality,
        "splits": list(card.splits), "label": card.label.rule, "licence": card.licence, "checked": card.checked,
    }  # fmt: skip


def _print(report: CardReport, console: Console) -> None:
    table = Table(
        "split", *(name.replace("_", " ") for name in _COUNTS), title=escape(f"{report.card} in {report.root}")
    )
    for split in report.splits:
        counts = split.model_dump()
        table.add_row(escape(split.split), *(str(counts[name]) for name in _COUNTS))
    console.print(table)
    if report.absent:
        console.print(f"not there: {', '.join(report.absent)}", markup=False)
    for split in report.splits:
        _print_details(split, console)
    if report.stranger_examples:
        console.print(f"media of no row: {', '.join(report.stranger_examples)}", markup=False)
    for sentence in report.wrong:
        console.print(f"wrong: {sentence}", style="red", markup=False)
    if not report.wrong:
        console.print("as the card says", style="green")


def _print_details(split: SplitReport, console: Console) -> None:
    if (split.harmful == 0) != (split.unharmful == 0):
        console.print(f"{split.split}: every label is {'harmful' if split.harmful else 'unharmful'}", markup=False)
    if split.no_common_name:
        named = ", ".join(f"{kind} ({count})" for kind, count in split.no_common_name.items())
        console.print(f"{split.split}: kinds without a common name: {named}", markup=False)
    if split.no_moments:
        told = f"{split.no_moments} harmful rows do not say when they are harmful"
        console.print(f"{split.split}: {told}", markup=False)
    for kind, rows in split.examples.items():
        for row in rows:
            console.print(f"{split.split}: {kind}: {row}", markup=False)
