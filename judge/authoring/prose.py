"""An expression in words: an outline that says exactly what the expression says, so that a reader can check it.

Deterministic and without a model. The outline can be read back to the same expression: two expressions never share
their words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import assert_never

from judge.authoring.render import as_data
from judge.constitution import And, AtLeast, Expression, Name, Not, Or

_INDENT = "   "


def prose(expression: Expression, statements: Mapping[str, str]) -> str:
    """One line per part, indented by depth; statements are quoted as JSON strings.

    Args:
        statements: Precondition id -> statement, for every name of the expression.
    """
    lines = [f"{_INDENT * depth}- {words}" for depth, words in _parts(expression, statements, 0)]
    return "\n".join(["A picture breaks the rule exactly if this is so:", *lines])


def _parts(expression: Expression, statements: Mapping[str, str], depth: int) -> Iterator[tuple[int, str]]:
    match expression:
        case Name(id):
            yield depth, as_data(statements[id])
        case Not(Name(id)):
            yield depth, f"it is not so that {as_data(statements[id])}"
        case Not(arg):
            yield depth, "the following is not so:"
            yield from _parts(arg, statements, depth + 1)
        case And(args):
            yield from _list("all of these:", args, statements, depth)
        case Or(args):
            yield from _list("at least one of these:", args, statements, depth)
        case AtLeast(count, args):
            yield from _list(f"at least {count} of these {len(args)}, counted one by one:", args, statements, depth)
        case _:
            assert_never(expression)


def _list(
    head: str, args: tuple[Expression, ...], statements: Mapping[str, str], depth: int
) -> Iterator[tuple[int, str]]:
    yield depth, head
    for arg in args:
        yield from _parts(arg, statements, depth + 1)
