"""Which rules each labelled picture violates: `violated` in `scenes_<split>.jsonl`, else the column `harmfulType`.

In the column, ids are separated by semicolons, and what it says of a harmless picture is not read. Pictures are named
here, not loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import JsonValue

from judge.bench.labelled import read_scenes, read_split
from judge.bench.vhd11k import Annotation
from judge.errors import did_you_mean, quoted


@dataclass(frozen=True, slots=True)
class RuleLabel:
    """A picture and the ids of the rules that it violates."""

    path: Path
    violated: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RuleLabels:
    """What can be used, and the reasons for what cannot, by picture."""

    items: tuple[RuleLabel, ...]
    left_out: Mapping[str, str]


def load_rule_labels(folder: Path, split: str, rules: Collection[str], *, count: int | None = None) -> RuleLabels:
    """The rows of a split, at most `count` of them.

    Args:
        rules: The ids that a label may name.

    Raises:
        ConfigError: There is no such split, or a file of it cannot be read.
    """
    scenes = read_scenes(folder, split)
    items: list[RuleLabel] = []
    left_out: dict[str, str] = {}
    for row in read_split(folder, split)[:count]:
        path = folder / row.path
        violated, problem = _violated(row, scenes.get(path.stem, {}).get("violated"), rules)
        if problem:
            left_out[str(path)] = problem
        else:
            items.append(RuleLabel(path, violated))
    return RuleLabels(tuple(items), left_out)


def _violated(row: Annotation, listed: JsonValue, rules: Collection[str]) -> tuple[tuple[str, ...], str]:
    """The ids, and why they are of no use; empty if they are."""
    harmful = row.harmful
    if harmful is None:
        return (), f"its decision is {quoted(row.said)}, neither yes nor no"
    if listed is None:
        listed = [name.strip() for name in row.harmful_type.split(";") if name.strip()] if harmful else []
    if not isinstance(listed, list):
        return (), "its violated rules are no list"
    names = tuple(dict.fromkeys(str(name) for name in listed))
    if harmful != bool(names):
        return (), "it is harmful, but no violated rule is named" if harmful else "it is harmless, but violates a rule"
    unknown = next((name for name in names if name not in rules), None)
    if unknown is not None:
        hint = did_you_mean(unknown, rules)
        return (), f"the constitution has no rule {quoted(unknown)}" + (f" ({hint})" if hint else "")
    return names, ""
