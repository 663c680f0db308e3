"""`judge models`: the named models, what they need, and whether they are on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer
from pydantic import JsonValue
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from judge.assets import model_names, model_path
from judge.engines.hub_cache import default_hub_cache, hub_presence
from judge.engines.model_folder import read_card
from judge.profiles import Profile, find_profile, load_profiles

_GIB = 1 << 30


def models(
    name: Annotated[Optional[str], typer.Argument(help="Show everything about this one.")] = None,  # noqa: UP045
    as_json: Annotated[bool, typer.Option("--json", help="For programs; memory in bytes.")] = False,
    profiles: Annotated[Optional[Path], typer.Option(help="YAML file of more profiles.")] = None,  # noqa: UP045
) -> None:
    """List the named models: engine, size, memory, licence, and whether they are on this machine."""
    if name is not None:
        profile = find_profile(name, profiles)
        print(json.dumps(describe(profile), indent=1) if as_json else _card(profile))
        return
    every = [describe(profile) for profile in load_profiles(profiles).values()]
    if as_json:
        print(json.dumps(every, indent=1))
        return
    Console(width=None if Console().is_terminal else 150).print(_table(every))
    print("Memory is an estimate for bfloat16, not a measurement. `judge models NAME` shows everything about one.")
    print("Any Hugging Face id or model folder works as --model too.")


def describe(profile: Profile) -> dict[str, JsonValue]:
    """Every field of a profile, and what only this machine knows."""
    fields: dict[str, JsonValue] = profile.model_dump(mode="json")
    fields["memory_bytes"] = profile.memory_bytes
    fields["domain"] = _domain(profile)
    fields["on_this_machine"] = _presence(profile)
    fields["how_to_run"] = list(_how_to_run(profile))
    return fields


def _presence(profile: Profile) -> str:
    if profile.repository is None:
        return "embedded" if profile.name in model_names() else "no"
    return hub_presence(profile.repository, profile.revision, default_hub_cache())


def _domain(profile: Profile) -> str:
    """What the model itself says of its limits; of a model that is not part of this package, what it was made for."""
    if profile.name not in model_names():
        return profile.purpose
    folder = model_path(profile.name)
    domain = read_card(folder).domain if folder else None
    return domain.description if domain else profile.purpose


def _how_to_run(profile: Profile) -> tuple[str, ...]:
    steps = [f"judge score pictures/ --model {profile.name}"]
    if profile.repository is None:
        return tuple(steps)
    if profile.gated:
        steps.insert(0, f"accept the terms of {profile.repository} on the hub and log in there first")
    steps.append(
        f"from a downloaded folder, in a configuration file: engine: {{model: FOLDER, profile: {profile.name}}}"
    )
    if not profile.traits.wrapper_class:
        steps.append(
            f"from a server that runs it: engine: {{name: openai, model: {profile.name}, openai: {{base_url: URL}}}}"
        )
    return tuple(steps)


def _table(every: list[dict[str, JsonValue]]) -> Table:
    table = Table("name", "engine", "parameters", "memory", "licence", "domain", "on this machine")
    for each in every:
        licence = f"{each['licence'] or 'not known'}{' (gated)' if each['gated'] else ''}"
        row = (each["name"], each["engine"], _count(each["parameters"]), _memory(each["memory_bytes"]), licence)
        table.add_row(*(escape(str(cell)) for cell in (*row, each["domain"], each["on_this_machine"])))
    return table


def _card(profile: Profile) -> str:
    """`field: value`, a line each; what is nested is shown as JSON."""
    memory = f"{_memory(profile.memory_bytes)} (estimate for bfloat16)"
    shown = {**describe(profile), "parameters": _count(profile.parameters), "memory_bytes": memory}
    del shown["how_to_run"]
    lines = [f"{field.removesuffix('_bytes')}: {_plain(value)}" for field, value in shown.items()]
    return "\n".join([*lines, "how to run:", *(f"  {step}" for step in _how_to_run(profile))])


def _plain(value: JsonValue) -> str:
    return value or "-" if isinstance(value, str) else "-" if value is None else json.dumps(value)


def _count(parameters: JsonValue) -> str:
    if not isinstance(parameters, int):
        return "not known"
    return f"{parameters / 1e9:.1f} B" if parameters >= 1e9 else f"{parameters / 1e6:.0f} M"


def _memory(size_bytes: JsonValue) -> str:
    return f"{size_bytes / _GIB:.1f} GiB" if isinstance(size_bytes, int) else "not known"
