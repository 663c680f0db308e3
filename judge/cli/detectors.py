"""`judge detectors`: what can be benchmarked, what it was made for, and what it needs."""

from __future__ import annotations

import json
from typing import Annotated, Optional

import typer
from pydantic import JsonValue
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from judge.bench.detectors.build import detector_names
from judge.bench.detectors.catalogue import CATALOGUE
from judge.errors import ConfigError, did_you_mean, quoted

EXAMPLES = """
Examples:

  judge detectors

  judge detectors nudenet --json

What a detector is set up with follows its name after commas, for instance:

  nudenet,profile=9-0.6

  ours-full,model=qwen3-vl-8b,constitution=general,vote=true

  openai-moderation,base_url=http://127.0.0.1:8000/v1,threshold=0.4

Options of each: docs/detectors.md. Nothing is loaded or fetched to list them.
"""


def detectors(
    name: Annotated[Optional[str], typer.Argument(help="Show this one only.")] = None,  # noqa: UP045
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List the detectors that can be benchmarked: media, kinds of harm, threshold, and what they need."""
    if name is not None and name not in CATALOGUE:
        raise ConfigError(f"unknown detector {quoted(name)}", hint=did_you_mean(name, detector_names()))
    every = [describe(each) for each in ([name] if name else detector_names())]
    if as_json:
        print(json.dumps(every, indent=1))
        return
    Console(width=None if Console().is_terminal else 150).print(_table(every))
    print(
        "Kinds of harm are those that a detector is measured on, with its published settings; harmless media count for"
    )
    print("all. A threshold of your own: NAME,threshold=0.4 (for i2p: those of its parts).")


def describe(name: str) -> dict[str, JsonValue]:
    """What is known of one without loading it."""
    listed = CATALOGUE[name]
    kinds = listed.categories()
    return {
        "name": name,
        "about": listed.about,
        "modalities": list(listed.modalities),
        "categories": None if kinds is None else list(kinds),
        "constitution": listed.constitution or None,
        "threshold": listed.threshold,
        "needs": listed.needs,
        "extras": list(listed.extras),
        "missing_packages": list(listed.missing()),
    }


def _table(every: list[dict[str, JsonValue]]) -> Table:
    table = Table(show_lines=True)
    for title in ("name", "what", "media", "kinds of harm", "threshold", "needs", "packages"):
        table.add_column(title, overflow="fold")
    for each in every:
        threshold = "its own decision" if each["threshold"] is None else f"{each['threshold']:g}"
        cells = (each["name"], each["about"], _words(each["modalities"]), _kinds(each), threshold, each["needs"])
        table.add_row(*(escape(str(cell)) for cell in (*cells, _packages(each))))
    return table


def _kinds(each: dict[str, JsonValue]) -> str:
    if each["constitution"]:
        return f"of constitution '{each['constitution']}': {_words(each['categories'])}"
    return "any" if each["categories"] is None else _words(each["categories"])


def _packages(each: dict[str, JsonValue]) -> str:
    extras = each["extras"]
    if not each["missing_packages"] or not isinstance(extras, list):
        return "installed"
    return f"pip install 'visual-judge[{','.join(str(extra) for extra in extras)}]'"


def _words(value: JsonValue) -> str:
    return ", ".join(str(word) for word in value) if isinstance(value, list) else ""
