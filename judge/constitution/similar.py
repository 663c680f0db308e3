"""Preconditions that say nearly the same, or the opposite: asked twice, and perhaps answered against each other.

Compared by their telling words (without articles, "there is", "visible", plural endings), then by three-letter pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations

from judge.constitution.check import NEGATION
from judge.constitution.problems import Problem
from judge.constitution.schema import Precondition
from judge.errors import quoted

MIN_SIMILARITY = 0.9
"""Dice coefficient of the sets of three-letter pieces, from which two statements are called alike."""
_EMPTY = "a an any are be been being can frame image is photo picture present seen shown some the there this visible"
_EMPTY_WORDS = frozenset(_EMPTY.split())
_warning = partial(Problem, severity="warning")
_note = partial(Problem, severity="note")


def near_duplicates(preconditions: Sequence[Precondition]) -> Iterator[Problem]:
    """Each is compared with those before it; exact duplicates are left to `check`."""
    seen: dict[tuple[str, ...], Precondition] = {}
    words = {each.id: _telling_words(each.statement) for each in preconditions}
    distinct: list[Precondition] = []
    for each in preconditions:
        key = tuple(sorted(words[each.id]))
        first = seen.setdefault(key, each)
        if not key or first is each:
            distinct.append(each)
        elif first.statement.lower() != each.statement.lower():
            yield _same_words(first, each, same_order=words[first.id] == words[each.id])
    yield from _alike(distinct)


def _same_words(first: Precondition, second: Precondition, *, same_order: bool) -> Problem:
    where, path = f"precondition {quoted(second.id)}", ("preconditions", second.id, "statement")
    if bool(NEGATION.search(first.statement)) != bool(NEGATION.search(second.statement)):
        fix = "keep the positive one, and write 'not' in violated_when"
        return _warning(f"is the negation of {quoted(first.id)}", where, fix, path=path, kind="opposite")
    make = _warning if same_order else _note  # "a dog bites a person" is not "a person bites a dog"
    return make(f"says nearly the same as {quoted(first.id)}", where, "use one of the two", path=path, kind="duplicate")


def _alike(preconditions: Sequence[Precondition]) -> Iterator[Problem]:
    pieces = [(each, _pieces(each.statement)) for each in preconditions]
    for (first, a), (second, b) in combinations(pieces, 2):
        # Dice is at most 2 min / (min + max): most pairs are too unlike in length to be worth an intersection.
        if 2 * min(len(a), len(b)) < MIN_SIMILARITY * (len(a) + len(b)):
            continue
        similarity = 2 * len(a & b) / (len(a) + len(b))
        if similarity >= MIN_SIMILARITY:
            where, path = f"precondition {quoted(second.id)}", ("preconditions", second.id, "statement")
            message = f"reads much like {quoted(first.id)} (similarity {similarity:.2f})"
            yield _note(message, where, "make sure that both are meant", path=path, kind="duplicate")


def _telling_words(statement: str) -> tuple[str, ...]:
    words = re.findall(r"\w+", NEGATION.sub(" ", re.sub(r"['\u2019]s\b", "", statement.lower())))
    return tuple(_singular(word) for word in words if word not in _EMPTY_WORDS)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _pieces(statement: str) -> frozenset[str]:
    text = " ".join(["", *re.findall(r"\w+", statement.lower()), ""])
    return frozenset(text[start : start + 3] for start in range(len(text) - 2))
