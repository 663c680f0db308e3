"""Prints what changed between two constitutions."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape

from judge.constitution.diff import Difference, FieldChange, RuleChange

_MARKS = {"added": "[green]+[/]", "removed": "[red]-[/]"}
_MEANINGS = {
    "equivalent": "means the same",
    "stricter": "stricter: more media violate it",
    "looser": "looser: fewer media violate it",
    "incomparable": "neither stricter nor looser: some media more, some less",
    "unknown": "too entangled to compare",
}


def print_difference(console: Console, found: Difference) -> None:
    """Rules, preconditions, categories; then what follows from it."""
    console.print(f"{escape(found.old)} ({found.old_digest[:12]}) -> {escape(found.new)} ({found.new_digest[:12]})")
    for rule in found.rules:
        _print_rule(console, rule)
    for each in found.preconditions:
        users = f" (used by {', '.join(each.rules)})" if each.rules else ""
        _say(console, f"{_MARKS.get(each.change, '~')} precondition {each.id}: {each.change}{users}")
        _print_old_new(console, each.old, each.new)
    for category in found.categories:
        _say(console, f"{_MARKS.get(category.change, '~')} category {category.id}: {category.change}")
        _print_fields(console, category.fields)
    if found.reordered:
        _say(console, "the rules stand in another order")
    if found.old_digest == found.new_digest:
        _say(console, "no difference")
    elif not found.changes_meaning:
        _say(console, "no difference in meaning")
    elif found.old == found.new:
        _say(console, f"[yellow]the meaning changed, but both are called {escape(found.new)}: raise the version[/]")


def _print_rule(console: Console, rule: RuleChange) -> None:
    head = f"{_MARKS.get(rule.change, '~')} rule {rule.id}"
    if rule.change != "changed":
        _say(console, f"{head}: {rule.change}: {rule.old or rule.new}")
        return
    _say(console, f"{head}: {_MEANINGS[rule.meaning or 'unknown']}")
    if rule.old != rule.new:
        _print_old_new(console, rule.old, rule.new)
    if rule.gained is not None:
        _say(console, f"    violated now, not before: {_case(rule.gained)}")
    if rule.lost is not None:
        _say(console, f"    violated before, not now: {_case(rule.lost)}")
    if rule.reworded:
        _say(console, f"    asked in other words: {', '.join(rule.reworded)}; their readings do not carry over")
    _print_fields(console, rule.fields)


def _case(values: Mapping[str, bool]) -> str:
    return ", ".join(name if value else f"not {name}" for name, value in values.items())


def _print_fields(console: Console, fields: tuple[FieldChange, ...]) -> None:
    for field in fields:
        _say(console, f"    {field.field}:")
        _print_old_new(console, field.old, field.new)


def _print_old_new(console: Console, old: str, new: str) -> None:
    if old:
        _say(console, f"    [red]- {escape(old)}[/]")
    if new:
        _say(console, f"    [green]+ {escape(new)}[/]")


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)
