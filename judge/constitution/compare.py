"""How two expressions relate over the same preconditions: exactly, with a case that shows the difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, assert_never

from judge.constitution.diagram import diagram
from judge.constitution.syntax import And, AtLeast, Expression, Name, Not, Or

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


def relation(gained: bool, lost: bool) -> Relation:
    """Of a new expression that is true in cases in which the old one is not (`gained`), or the other way (`lost`)."""
    if gained:
        return "incomparable" if lost else "stricter"
    return "looser" if lost else "equivalent"


def renamed(expression: Expression, new_names: Mapping[str, str]) -> Expression:
    """The same with other names; those that the mapping lacks stay."""
    match expression:
        case Name(id):
            return Name(new_names.get(id, id))
        case Not(arg):
            return Not(renamed(arg, new_names))
        case And(args):
            return And(tuple(renamed(arg, new_names) for arg in args))
        case Or(args):
            return Or(tuple(renamed(arg, new_names) for arg in args))
        case AtLeast(count, args):
            return AtLeast(count, tuple(renamed(arg, new_names) for arg in args))
        case _:
            assert_never(expression)
