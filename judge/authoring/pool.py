"""The preconditions that all rules share, and how a decomposition joins them.

The same statement joins what is there; a new one whose id is taken gets another id; one that resembles another is
kept and noted for the reviewer, because like words can mean different things.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from judge.authoring.answers import Decomposition, NewPrecondition
from judge.constitution import And, AtLeast, Expression, Name, Not, Or, Precondition, canonical, parse
from judge.constitution.schema import MAX_ID_LENGTH

_ARTICLES = frozenset({"a", "an", "the"})
_FILLERS = frozenset(
    {"is", "are", "be", "can", "visible", "seen", "shown", "there", "it", "at", "least", "one", "some"}
)
_ALIKE = 0.7
"""Share of common words from which two statements are called similar."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A decomposition in the ids of the pool.

    Attributes:
        pool: With the new preconditions.
        violated_when: In its ids, canonical.
        notes: What was merged, renamed or looks alike, for people.
    """

    pool: dict[str, Precondition]
    violated_when: str
    notes: tuple[str, ...]


def join(pool: Mapping[str, Precondition], decomposition: Decomposition) -> Joined:
    """Adds a decomposition whose ids refer to itself first, then to the pool."""
    grown, renamed, notes = dict(pool), {}, []
    for new in decomposition.preconditions:
        same = next((id for id, known in grown.items() if same_words(known.statement, new.statement)), None)
        if same is not None:
            notes += [] if same == new.id else [f"'{new.id}' says the same as '{same}' and was merged into it"]
        else:
            same = free_id(new.id, grown)
            notes += [] if same == new.id else [f"'{new.id}' is another precondition: this one is '{same}'"]
            notes += [f"'{same}' resembles '{id}': {known.statement}" for id, known in _similar(new, grown)]
            grown[same] = Precondition(id=same, statement=new.statement, focus=new.focus)
        renamed[new.id] = same
    expression = _renamed(parse(decomposition.violated_when), renamed)
    return Joined(grown, canonical(expression), tuple(notes))


def same_words(one: str, other: str) -> bool:
    """Whether two statements differ in case, punctuation and articles at most."""
    return _words(one) == _words(other)


def free_id(wanted: str, taken: Mapping[str, object]) -> str:
    """`wanted`, or with the first number behind it that makes it new."""
    id, number = wanted, 2
    while id in taken:
        suffix = f"_{number}"
        id, number = wanted[: MAX_ID_LENGTH - len(suffix)] + suffix, number + 1
    return id


def _similar(new: NewPrecondition, pool: Mapping[str, Precondition]) -> list[tuple[str, Precondition]]:
    return [(id, known) for id, known in pool.items() if _likeness(new.statement, known.statement) >= _ALIKE]


def _likeness(one: str, other: str) -> float:
    """Common content words as a share of all (Jaccard)."""
    left, right = (frozenset(_words(text)) - _FILLERS for text in (one, other))
    return len(left & right) / len(left | right) if left | right else 0.0


def _words(statement: str) -> tuple[str, ...]:
    return tuple(word for word in re.findall(r"\w+", statement.casefold()) if word not in _ARTICLES)


def _renamed(expression: Expression, ids: Mapping[str, str]) -> Expression:
    match expression:
        case Name(id):
            return Name(ids.get(id, id))
        case Not(arg):
            return Not(_renamed(arg, ids))
        case And(args):
            return And(tuple(_renamed(arg, ids) for arg in args))
        case Or(args):
            return Or(tuple(_renamed(arg, ids) for arg in args))
        case AtLeast(count, args):
            return AtLeast(count, tuple(_renamed(arg, ids) for arg in args))
        case _:
            assert_never(expression)
