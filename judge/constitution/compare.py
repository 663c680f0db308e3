"""How two expressions relate over the same preconditions: exactly, with a case that shows the difference."""

from __future__ import annotations

from typing import Literal

from judge.constitution.diagram import diagram
from judge.constitution.syntax import And, Expression, Not

Relation = Literal["equivalent", "stricter", "looser", "incomparable"]
"""Of a new expression to an old one: stricter = true in every case in which the old one is, and in more."""


def difference(a: Expression, b: Expression) -> dict[str, bool] | None:
    """A case in which `a` is true and `b` is false: values of the names that matter. None if there is none.

    Raises:
        ConstitutionError: They repeat so many names that they cannot be compared exactly.
    """
    return diagram(And((a, Not(b)))).example()


def implies(a: Expression, b: Expression) -> bool:
    """Whether `b` is true in every case in which `a` is. Raises as `difference`."""
    return difference(a, b) is None


def relation(old: Expression, new: Expression) -> Relation:
    """Of the new expression to the old one. Raises as `difference`."""
    gained, lost = difference(new, old), difference(old, new)
    if gained is None and lost is None:
        return "equivalent"
    if lost is None:
        return "stricter"
    return "looser" if gained is None else "incomparable"
