"""Stored verdicts under a new constitution: which change, by which rules, and which cannot be known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from judge.cli.verdicts import BadLine, Row, read_rows
from judge.config import Thresholds
from judge.constitution import Constitution
from judge.prompts.render import digests_in_use
from judge.replay import Conditions, Replay, replay
from judge.types import DecisionLabel, RuleOutcome, Verdict, Wire

_SHOWN = 50
"""Rows of the table; --json has all."""


class RuleShift(Wire):
    """One rule that comes out differently."""

    rule_id: str
    """Of the rule."""
    before: RuleOutcome | Literal["absent"]
    """In the stored verdict; absent = it was not part of it."""
    after: RuleOutcome | Literal["absent", "unknown"]
    """Under the new constitution."""
    reason: str = ""
    """Why it is unknown; empty if it is not."""


class VerdictShift(Wire):
    """One verdict of which something comes out differently."""

    line: int
    """Where it is stored."""
    input: str
    """As the caller gave it."""
    before: DecisionLabel
    """As stored."""
    after: DecisionLabel | Literal["unknown"]
    """Under the new constitution; unknown if the stored evidence does not settle it."""
    rules: tuple[RuleShift, ...]
    """The rules that come out differently."""
    reason: str = ""
    """Why the decision is unknown whatever the rules say; empty otherwise."""


class WhatIf(Wire):
    """All verdicts of one file replayed. `verdicts` = `same` + `flipped` + `unknown`."""

    verdicts: int
    """Verdicts read."""
    same: int
    """Certainly decided as before."""
    flipped: int
    """Certainly decided otherwise."""
    unknown: int
    """The stored evidence does not settle the decision."""
    flips: Mapping[str, int]
    """`safe -> unsafe`... -> how many."""
    unknown_because: Mapping[str, int]
    """Why a rule or decision is unknown -> in how many verdicts."""
    other_constitution: int
    """Verdicts that were not made under OLD; they are replayed, and compared with what they say."""
    errors: int
    """Rows without a verdict, because their input could not be judged."""
    bad_lines: tuple[BadLine, ...]
    """Lines that are no rows."""
    shifts: tuple[VerdictShift, ...]
    """Verdicts of which something comes out differently, or is unknown."""


def what_if(path: Path, old: Constitution, new: Constitution, thresholds: Thresholds | None) -> WhatIf:
    """Replays a file of verdicts, line by line.

    Raises:
        ConfigError: The file cannot be read.
    """
    conditions = Conditions(new, digests_in_use(), thresholds, made_under=old)
    bad: list[BadLine] = []
    shifts: list[VerdictShift] = []
    counts: Counter[str] = Counter()
    for each in read_rows(path):
        if isinstance(each, BadLine):
            bad.append(each)
        elif each.row.verdict is None:
            counts["errors"] += 1
        else:
            shift = _shift(each, each.row.verdict, replay(each.row.verdict, conditions))
            counts[_kind(shift)] += 1
            counts["other"] += each.row.verdict.versions.constitution != old.digest
            shifts += [shift] if shift.rules or shift.before != shift.after else []
    return WhatIf(
        verdicts=counts["same"] + counts["flipped"] + counts["unknown"],
        same=counts["same"],
        flipped=counts["flipped"],
        unknown=counts["unknown"],
        flips=Counter(f"{each.before} -> {each.after}" for each in shifts if _kind(each) == "flipped"),
        unknown_because=Counter(reason for each in shifts for reason in _reasons(each)),
        other_constitution=counts["other"],
        errors=counts["errors"],
        bad_lines=tuple(bad),
        shifts=tuple(shifts),
    )


def _shift(at: Row, verdict: Verdict, replayed: Replay) -> VerdictShift:
    before = {rule.rule_id: rule.outcome for rule in verdict.rules}
    after = {rule.rule_id: rule for rule in replayed.rules}
    shifts = []
    for id in dict.fromkeys([*after, *before]):
        now = after.get(id)
        outcome: RuleOutcome | Literal["absent", "unknown"] = "absent" if now is None else now.outcome or "unknown"
        was: RuleOutcome | Literal["absent"] = before.get(id, "absent")
        if was != outcome:
            shifts.append(RuleShift(rule_id=id, before=was, after=outcome, reason=now.unknown if now else ""))
    label = replayed.decision.label if replayed.decision else "unknown"
    return VerdictShift(
        line=at.line, input=at.row.input, before=verdict.decision, after=label, rules=tuple(shifts),
        reason=replayed.unknown,
    )  # fmt: skip


def _kind(shift: VerdictShift) -> Literal["same", "flipped", "unknown"]:
    if shift.after == "unknown":
        return "unknown"
    return "same" if shift.after == shift.before else "flipped"


def _reasons(shift: VerdictShift) -> Iterable[str]:
    rules = [rule.reason for rule in shift.rules if rule.after == "unknown"]
    return dict.fromkeys([*rules, shift.reason] if shift.reason else rules)


def print_what_if(console: Console, found: WhatIf) -> None:
    """Counts, then the verdicts that change, then what could not be known or read."""
    console.print(
        f"\n{found.verdicts} stored verdicts: {found.same} stay, {found.flipped} change, {found.unknown} unknown"
    )
    for flip, count in sorted(found.flips.items()):
        console.print(f"  {flip}: {count}", highlight=False)
    changed = [each for each in found.shifts if _kind(each) == "flipped"]
    if changed:
        table = Table("input", "before", "after", "by")
        table.columns[0].overflow = "fold"
        for each in changed[:_SHOWN]:
            by = "; ".join(f"{rule.rule_id}: {rule.before} -> {rule.after}" for rule in each.rules)
            table.add_row(escape(each.input), each.before, each.after, escape(by))
        console.print(table)
        if len(changed) > _SHOWN:
            console.print(f"... and {len(changed) - _SHOWN} more; --json has all")
    for reason, count in Counter(found.unknown_because).most_common():
        console.print(f"unknown in {count} verdicts: {escape(reason)}", highlight=False)
    if found.other_constitution:
        console.print(f"{found.other_constitution} of the verdicts were made under another constitution than OLD")
    if found.errors:
        console.print(f"{found.errors} rows have no verdict: their inputs could not be judged")
    for line in found.bad_lines[:_SHOWN]:
        console.print(f"line {line.line} is no row: {escape(line.reason)}", highlight=False)
    if len(found.bad_lines) > _SHOWN:
        console.print(f"... and {len(found.bad_lines) - _SHOWN} more such lines; --json has all")
