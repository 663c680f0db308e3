"""The cases of a truth table: right by brute force, and enough to exercise every precondition."""

from __future__ import annotations

import pytest
from hypothesis import given

from judge.authoring.cases import Case, covering_cases, decides
from judge.constitution import And, Expression, Name, Or, deciding, evaluate, parse
from judge.types import Outcome
from tests.constitution.trees import LETTERS, expressions, holds


@given(expressions)
def test_every_value_is_that_of_the_expression(expression: Expression) -> None:
    for case in covering_cases(expression):
        outcomes: dict[str, Outcome] = {id: "satisfied" if so else "rejected" for id, so in case.facts.items()}
        assert evaluate(expression, outcomes) == ("satisfied" if case.violated else "rejected")
        # Names that make no difference are left out: any value of theirs gives the same.
        for rest in (False, True):
            assert holds(expression, dict.fromkeys(LETTERS, rest) | dict(case.facts)) == case.violated


@given(expressions)
def test_every_precondition_that_matters_decides_in_a_case(expression: Expression) -> None:
    cases = covering_cases(expression)
    matter = deciding(expression, {})
    for id in matter:
        deciding_here = [
            case
            for case in cases
            if holds(expression, dict.fromkeys(LETTERS, False) | dict(case.facts) | {id: True})
            != holds(expression, dict.fromkeys(LETTERS, False) | dict(case.facts) | {id: False})
        ]
        assert deciding_here
    assert {case.violated for case in cases} == ({True, False} if matter else set())
    assert all(case.facts.keys() == matter for case in cases)


@given(expressions)
def test_with_room_each_has_its_counterpart(expression: Expression) -> None:
    """Unique-cause MC/DC: five names need ten cases at most."""
    cases = covering_cases(expression, 12)
    found = [dict(case.facts) for case in cases]
    assert len(found) <= 10
    assert len({tuple(facts.items()) for facts in found}) == len(found)
    for id in deciding(expression, {}):
        assert any(decides(expression, facts, id) and {**facts, id: not facts[id]} in found for facts in found)


def test_a_conjunction_needs_one_case_more_than_it_has_parts() -> None:
    assert covering_cases(parse("a and b and not c")) == (
        Case({"a": True, "b": True, "c": False}, True),
        Case({"a": False, "b": True, "c": False}, False),
        Case({"a": True, "b": False, "c": False}, False),
        Case({"a": True, "b": True, "c": True}, False),
    )


def test_the_cap_keeps_what_covers_and_both_outcomes() -> None:
    letters = tuple(Name(f"n{i}") for i in range(30))
    wide = covering_cases(And(letters), 12)
    assert len(wide) == 12
    assert all(decides(And(letters), wide[0].facts, name.id) for name in letters)
    assert [case.violated for case in wide] == [True] + [False] * 11
    # In an alternative each needs a case of its own: more than the cap, and never fewer than cover.
    several = covering_cases(Or(letters), 12)
    assert len(several) == 31
    assert [case.violated for case in several].count(False) == 1


@pytest.mark.parametrize("expression", ["a or not a", "a and not a"])
def test_nothing_to_show_where_nothing_matters(expression: str) -> None:
    assert covering_cases(parse(expression)) == ()
