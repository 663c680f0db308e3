"""Checks across the parts of a constitution: references resolve, nothing is idle, every rule can go both ways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from judge.constitution.expression import is_contradiction, is_tautology
from judge.constitution.problems import KINDS, Problem
from judge.constitution.syntax import Expression, names, parse
from judge.errors import ConstitutionError, did_you_mean, quoted

if TYPE_CHECKING:
    from judge.constitution.schema import Category, Precondition, Rule


def problems(
    categories: Sequence[Category], preconditions: Sequence[Precondition], rules: Sequence[Rule]
) -> Iterator[Problem]:
    """Everything that is wrong with a constitution whose parts are each well-formed."""
    for kind, items in (("categories", categories), ("preconditions", preconditions), ("rules", rules)):
        ids = [item.id for item in items]
        yield from missing(kind, ids)
        yield from _duplicates(kind, ids)
    used: set[str] = set()
    for rule in rules:
        expression = parse(rule.violated_when)
        used.update(names(expression))
        yield from category_problems(rule.id, rule.category, [category.id for category in categories])
        yield from expression_problems(rule.id, expression, [precondition.id for precondition in preconditions])
    yield from unused([precondition.id for precondition in preconditions], used)


def missing(kind: str, ids: Sequence[str]) -> Iterator[Problem]:
    """A constitution without rules would call everything safe."""
    if not ids:
        yield Problem(f"the constitution has no {kind}", fix=f"add at least one under '{kind}:'", path=(kind,))


def category_problems(rule_id: str, category: str, categories: Sequence[str]) -> Iterator[Problem]:
    """A category that is not declared; if none is, `missing` says so."""
    if categories and category not in categories:
        yield Problem(
            f"unknown category {quoted(category)}",
            f"rule {quoted(rule_id)}",
            did_you_mean(category, categories),
            path=("rules", rule_id, "category"),
        )


def expression_problems(rule_id: str, expression: Expression, preconditions: Sequence[str]) -> Iterator[Problem]:
    """Preconditions that are not declared (if none is, `missing` says so); a rule with only one possible answer."""
    where, path = f"rule {quoted(rule_id)}", ("rules", rule_id, "violated_when")
    declared = frozenset(preconditions)
    for name in names(expression):
        if declared and name not in declared:
            fix = did_you_mean(name, preconditions) or "declare it under 'preconditions:'"
            yield Problem(f"unknown precondition {quoted(name)}", where, fix, path=path)
    fix = "remove the part that undoes the rest"
    try:
        if is_tautology(expression):
            yield Problem("everything violates it: 'violated_when' is always true", where, fix, path=path)
        if is_contradiction(expression):
            yield Problem("nothing can violate it: 'violated_when' is always false", where, fix, path=path)
    except ConstitutionError as error:
        yield Problem(f"'violated_when' {error.message}", where, error.hint, path=path)


def unused(preconditions: Iterable[str], used: Collection[str]) -> Iterator[Problem]:
    """Preconditions that no rule asks for."""
    for id in preconditions:
        if id not in used:
            fix = "use it in a rule's violated_when, or remove it"
            yield Problem("no rule uses it", f"precondition {quoted(id)}", fix, path=("preconditions", id))


def _duplicates(kind: str, ids: Iterable[str]) -> Iterator[Problem]:
    for id, count in Counter(ids).items():
        if count > 1:
            yield Problem(
                f"{count} entries have this id", f"{KINDS[kind]} {quoted(id)}", "rename or remove one", path=(kind, id)
            )
