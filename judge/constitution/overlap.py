"""How the rules of one constitution relate: which repeat, include or contradict each other. Exact, by diagrams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

from judge.constitution.diagram import FALSE, MAX_WORK, Diagram, diagram
from judge.constitution.problems import Place, Problem
from judge.constitution.schema import Constitution, Rule
from judge.constitution.syntax import And, Expression, Not, Or, names
from judge.errors import ConstitutionError, quoted
from judge.types import Severity

TOTAL_WORK = 20 * MAX_WORK
"""Tree nodes visited for one constitution: some seconds. Nearly all pairs of rules are told apart for nothing."""
MOST_TOGETHER = 12
"""Rules that are taken together to see whether they include another one."""
_SEVERITIES: tuple[Severity, ...] = get_args(Severity)
_warning = partial(Problem, severity="warning")
_note = partial(Problem, severity="note")


def overlaps(constitution: Constitution) -> Iterator[Problem]:
    """Rules that are violated by nothing at all, that others make needless, or that leave no media unviolated."""
    rules = [_Compiled.of(rule, constitution.expression(rule.id)) for rule in constitution.rules]
    budget = _Budget()
    for number, rule in enumerate(rules):
        yield from _empty_scene(rule)
        yield from _needless(rule, rules[:number], rules[number + 1 :], budget)
    yield from _contradictions(rules, budget)
    if budget.missed:
        message = f"comparisons of rules that were left out, as too many or too entangled: {budget.missed}"
        yield _note(message, path=("rules",), kind="overlap")


@dataclass(frozen=True, slots=True)
class _Compiled:
    """A rule ready to be compared. `worlds`: two cases that violate it, as the names that are true in them."""

    rule: Rule
    expression: Expression
    diagram: Diagram
    names: frozenset[str]
    worlds: tuple[frozenset[str], _AllBut]

    @classmethod
    def of(cls, rule: Rule, expression: Expression) -> _Compiled:
        compiled = diagram(expression)
        example = compiled.example() or {}
        fewest = frozenset(name for name, value in example.items() if value)
        most = _AllBut(frozenset(name for name, value in example.items() if not value))
        return cls(rule, expression, compiled, frozenset(names(expression)), (fewest, most))

    @property
    def where(self) -> str:
        return f"rule {quoted(self.rule.id)}"

    @property
    def path(self) -> Place:
        return ("rules", self.rule.id, "violated_when")


@dataclass(frozen=True, slots=True)
class _AllBut:
    """The set of every name but these."""

    missing: frozenset[str]

    def __contains__(self, name: object) -> bool:
        return name not in self.missing


@dataclass(slots=True)
class _Budget:
    """What is left to spend on comparisons, so that no file, however made, keeps its reader waiting."""

    left: int = TOTAL_WORK
    missed: int = 0

    def implies(self, a: Expression, b: Expression) -> bool:
        """Whether `b` holds whenever `a` does; False, and counted, if that could not be found out."""
        if self.left <= 0:
            self.missed += 1
            return False
        try:
            counterexamples = diagram(And((a, Not(b))))
        except ConstitutionError:
            self.left -= MAX_WORK
            self.missed += 1
            return False
        self.left -= counterexamples.work
        return counterexamples.root == FALSE


def _empty_scene(rule: _Compiled) -> Iterator[Problem]:
    if rule.diagram.holds(frozenset()):
        fix = "join it with something that must be seen: person and not helmet"
        message = "media that show none of its preconditions violate it"
        yield _warning(message, rule.where, fix, path=rule.path, kind="empty-scene")


def _needless(
    rule: _Compiled, before: Sequence[_Compiled], after: Sequence[_Compiled], budget: _Budget
) -> Iterator[Problem]:
    covering = [other for other in (*before, *after) if _may_cover(other, rule)]
    including = [other for other in covering if _implied(rule, other, budget)]
    for other in including:
        if _covers_modalities(rule, other) and _implied(other, rule, budget):
            if other in before:
                message = f"is violated exactly when {quoted(other.rule.id)} is"
                yield _warning(message, rule.where, "merge the two", path=rule.path, kind="overlap")
        else:
            yield _included(rule, other)
    if including or not 1 < len(covering) <= MOST_TOGETHER:
        return
    if all(any(other.diagram.holds(world) for other in covering) for world in rule.worlds):
        whole = Or(tuple(other.expression for other in covering))
        if budget.implies(rule.expression, whole):
            message = "other rules together are violated whenever it is, so it never decides"
            yield _note(message, rule.where, "keep it only for its category and score", path=rule.path, kind="overlap")


def _included(rule: _Compiled, other: _Compiled) -> Problem:
    never_decides = rule.rule.category == other.rule.category and _rank(rule.rule) <= _rank(other.rule)
    message = f"whenever it is violated, {quoted(other.rule.id)} is, too"
    if never_decides:
        fix = "remove it, or narrow the other one"
        return _warning(f"{message}: it never decides", rule.where, fix, path=rule.path, kind="overlap")
    return _note(message, rule.where, "fine, if both are to be reported", path=rule.path, kind="overlap")


def _contradictions(rules: Sequence[_Compiled], budget: _Budget) -> Iterator[Problem]:
    """Two rules that leave nothing unviolated. One of them is then violated by an empty scene."""
    for rule in rules:
        if not rule.diagram.holds(frozenset()):
            continue
        for other in rules:
            together = other is not rule and rule.names & other.names
            if together and budget.implies(Not(rule.expression), other.expression):
                message = f"all media violate it or {quoted(other.rule.id)}"
                fix = "one forbids what the other demands: mend one"
                yield _warning(message, rule.where, fix, path=rule.path, kind="contradiction")


def _may_cover(other: _Compiled, rule: _Compiled) -> bool:
    return bool(rule.names & other.names) and _covers_modalities(other, rule)


def _covers_modalities(other: _Compiled, rule: _Compiled) -> bool:
    return set(rule.rule.modalities) <= set(other.rule.modalities)


def _implied(rule: _Compiled, other: _Compiled, budget: _Budget) -> bool:
    """Whether `other` is violated whenever `rule` is; two cases are tried before it is proved."""
    return all(other.diagram.holds(world) for world in rule.worlds) and budget.implies(
        rule.expression, other.expression
    )


def _rank(rule: Rule) -> int:
    return _SEVERITIES.index(rule.severity)
