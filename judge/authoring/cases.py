"""A few cases that show what an expression means: for every precondition one where it alone decides.

As in the coverage criterion MC/DC: a case, and the same with one precondition turned over, have different outcomes.
Source: Chilenski and Miller, "Applicability of modified condition/decision coverage to software testing", 1994.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from judge.constitution import Expression, deciding, evaluate, names
from judge.types import Outcome

MAX_CASES = 12


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a truth table.

    Attributes:
        facts: Every precondition that matters -> whether it holds.
        violated: The expression's value.
    """

    facts: Mapping[str, bool]
    violated: bool


def covering_cases(expression: Expression, max_cases: int = MAX_CASES) -> tuple[Case, ...]:
    """Cases in which every precondition that matters decides at least once, both outcomes among them.

    As long as there is room under `max_cases`, each comes with its counterpart, the precondition turned over. More
    than `max_cases` are given only if fewer could not do the first. Empty if nothing matters.
    """
    # In the order of the expression, which `deciding` (a set) does not have: the same cases in every run.
    matter = deciding(expression, {})
    ids = [name for name in names(expression) if name in matter]
    bases: dict[str, dict[str, bool]] = {}
    for id in ids:
        near = list(bases.values())
        known = next((facts for facts in near if decides(expression, facts, id)), None)
        bases[id] = known or _where_it_decides(expression, ids, id, near[-1] if near else dict.fromkeys(ids, True))
    chosen = _distinct(list(bases.values()))
    counterparts = _distinct([{**facts, id: not facts[id]} for id, facts in bases.items()])
    extra = [facts for facts in counterparts if facts not in chosen]
    room = max(1, max_cases - len(chosen))  # one counterpart at least: else all outcomes could be the same
    return tuple(Case(facts, _holds(expression, facts)) for facts in [*chosen, *extra[:room]])


def decides(expression: Expression, facts: Mapping[str, bool], id: str) -> bool:
    """Whether turning `id` over changes the value."""
    return _holds(expression, facts) != _holds(expression, {**facts, id: not facts[id]})


def _where_it_decides(
    expression: Expression, ids: list[str], id: str, preferred: Mapping[str, bool]
) -> dict[str, bool]:
    """Facts under which `id` decides, as near to the preferred ones as one pass finds.

    While `id` is in the support of what is left, some completion makes it decide: no choice has to be taken back.
    """
    known: dict[str, Outcome] = {}
    for other in ids:
        if other != id:
            wanted: Outcome = "satisfied" if preferred[other] else "rejected"
            opposite: Outcome = "rejected" if preferred[other] else "satisfied"
            known[other] = wanted if id in deciding(expression, {**known, other: wanted}) else opposite
    return {name: name == id or known[name] == "satisfied" for name in ids}


def _holds(expression: Expression, facts: Mapping[str, bool]) -> bool:
    outcome = evaluate(expression, {id: "satisfied" if value else "rejected" for id, value in facts.items()})
    assert outcome != "undecided"
    return outcome == "satisfied"


def _distinct(found: list[dict[str, bool]]) -> list[dict[str, bool]]:
    return [facts for row, facts in enumerate(found) if facts not in found[:row]]
