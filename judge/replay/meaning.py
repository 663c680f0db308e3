"""What rules mean: their expressions over statements instead of ids, and whether two of them say the same."""

from __future__ import annotations

from functools import lru_cache

from judge.constitution import Constitution, Expression, Rule, names, parse
from judge.constitution.compare import implies, renamed
from judge.constitution.diagram import diagram
from judge.errors import ConstitutionError


def function_of(constitution: Constitution, rule: Rule) -> Expression:
    """A rule's expression, over statements."""
    expression = constitution.expression(rule.id)
    return renamed(expression, {name: constitution.precondition(name).statement for name in names(expression)})


@lru_cache(maxsize=4096)
def parsed(text: str) -> Expression | None:
    """None if it is no expression, or one that cannot be evaluated."""
    try:
        expression = parse(text)
        diagram(expression)
    except ConstitutionError:
        return None
    return expression


@lru_cache(maxsize=4096)
def same(a: Expression, b: Expression) -> bool:
    """Equal meaning over the same statements: also which questions are asked is the same."""
    if a == b:
        return True
    return set(names(a)) == set(names(b)) and entails(a, b) and entails(b, a)


@lru_cache(maxsize=4096)
def entails(a: Expression, b: Expression) -> bool:
    """Whether `a` implies `b`; False also if it is too entangled to say."""
    try:
        return implies(a, b)
    except ConstitutionError:
        return False
