"""Short step-by-step rationales about a scene: written from its scene graph, and read back into claims.

Plain words out of the tokenizer's vocabulary, one wording for each step, so that the small model can learn them and
what it writes can be checked. Not here: the chat turns around them (`streams`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, assert_never

from judge.stickers.atlas import SIGN
from judge.stickers.scene import Scene, reading_order
from judge.stickers.statements import (
    SCOPE_STATEMENT,
    SIGN_KIND_WORDS,
    Atom,
    Statement,
    Truth,
    article,
    relation_outcome,
)
from judge.stickers.vocabulary import ALL_SIGN_WORDS, CLASSES, CONCEPTS, members, nouns, sign_kind
from judge.types import Outcome

_Link = Literal["touching", "next_to"]
_VERBS: dict[_Link, str] = {"touching": "touches", "next_to": "is next to"}
_NOBODY: dict[_Link, str] = {
    "touching": "They do not touch each other.",
    "next_to": "They are not close to each other.",
}
_MOST_NAMED = 3
"""Things that are listed one by one; what is left out is not denied."""
_NOTHING = "nothing"
_NO_STICKERS = "This is not a picture made of stickers."
_VERDICT: dict[Outcome, str] = {"satisfied": "is true", "rejected": "is not true"}


# --- writing --------------------------------------------------------------------------------------------------


def rationale(scene: Scene, statement: Statement) -> str:
    """What is visible that decides the statement, and what follows from it.

    Raises:
        ValueError: Geometry leaves the statement undecided: there is nothing to lead to.
    """
    outcome = Truth(scene).of(statement)
    if outcome == "undecided":
        raise ValueError("an undecided statement has no rationale")
    return " ".join([*_Steps(scene).of(statement), f"The statement {_VERDICT[outcome]}."])


def scope_rationale() -> str:
    """The same where the picture is no sticker scene: nothing of the vocabulary is in it, whatever is asked."""
    return f"{_NO_STICKERS} The statement is not true."


class _Steps:
    """Writes the steps about one scene."""

    def __init__(self, scene: Scene) -> None:
        self._concepts = [s.concept for s in scene.stickers]
        self._order = reading_order(scene)
        self._words = [scene.stickers[n].variant for n in self._order if self._concepts[n] == SIGN]
        self._truth = Truth(scene)

    def of(self, statement: Statement) -> list[str]:
        """Sentences, in the order of thought; parts that cannot change the outcome any more are left out."""
        if isinstance(statement, Atom):
            return self._atom(statement)
        left = self._truth.of(statement.left)
        parts: tuple[Atom, ...] = (statement.left, statement.right)
        if left == "undecided":
            parts = (statement.right,)
        elif left == ("satisfied" if statement.joint == "or" else "rejected"):
            parts = (statement.left,)
        steps = []
        for part in parts:
            steps += [*self._atom(part), f"This {_VERDICT[self._truth.of(part)]}."]
        return steps

    def _atom(self, atom: Atom) -> list[str]:  # noqa: PLR0911  (one return per kind)
        match atom.kind:
            case "exists":
                return [self._presence(atom.subject)]
            case "two":
                return [self._presence(atom.subject, counted=True)]
            case "touching" | "next_to":
                return self._pair(atom.kind, atom.subject, atom.object)
            case "on_fire":
                return self._pair("touching", "fire", atom.subject)
            case "bleeding":
                return self._pair("touching", "drop_of_blood", atom.subject)
            case "sign" | "sign_word":
                return self._signs()
            case "sign_kind":
                return [*self._signs(), *self._kind_of_words(atom.subject)]
            case "stickers":
                return [SCOPE_STATEMENT]
        assert_never(atom.kind)

    def _numbers(self, name: str) -> list[int]:
        wanted = members(name)
        return [number for number in self._order if self._concepts[number] in wanted]

    def _presence(self, name: str, *, counted: bool = False) -> str:
        found = self._numbers(name)
        if not found:
            return f"{_capital(_thing(name))} is not visible."
        head = f"{_capital(_thing(name))} is visible"
        if name not in CLASSES and not counted:
            return f"{head}."
        only = " only" if counted and len(found) == 1 else ""
        return f"{head}: {self._names(found[:_MOST_NAMED])}{only}."

    def _names(self, numbers: Sequence[int]) -> str:
        things = [_thing(self._concepts[number]) for number in numbers]
        return " and ".join([*filter(None, [", ".join(things[:-1])]), *things[-1:]]) or _NOTHING

    def _pair(self, kind: _Link, subject: str, object_: str) -> list[str]:
        """Whether both are there; then what the rarer of the two touches or is next to."""
        steps = [self._presence(subject)]
        subjects, objects = self._numbers(subject), self._numbers(object_)
        if not subjects or subject == object_:
            return steps + (self._links(kind, subjects, objects) if subjects else [])
        steps.append(self._presence(object_))
        if not objects:
            return steps
        fewer, others = (subjects, objects) if len(subjects) <= len(objects) else (objects, subjects)
        return steps + self._links(kind, fewer, others)

    def _links(self, kind: _Link, numbers: Sequence[int], others: Sequence[int]) -> list[str]:
        linked = {number: self._linked(kind, number) for number in numbers}
        hits = [number for number in numbers if set(linked[number]) & set(others)]
        shown = hits[:1] or numbers
        if len(shown) >= _MOST_NAMED:
            return [_NOBODY[kind]]
        return [f"The {_noun(self._concepts[n])} {_VERBS[kind]} {self._names(linked[n])}." for n in shown]

    def _linked(self, kind: _Link, number: int) -> list[int]:
        relations = self._truth.relations
        return [
            other
            for other in self._order
            if other != number
            and relation_outcome(kind, relations[min(number, other), max(number, other)]) == "satisfied"
        ]

    def _signs(self) -> list[str]:
        return [f"A sign says {word}." for word in self._words] or ["A sign is not visible."]

    def _kind_of_words(self, kind: str) -> list[str]:
        if not self._words:
            return []
        said = [word for word in self._words if sign_kind(word) == kind]
        return [f"{SIGN_KIND_WORDS[kind].capitalize()} words: {', '.join(said) or 'none'}."]


def _noun(name: str) -> str:
    return "sign" if name == SIGN else nouns(name)[0]


def _thing(name: str) -> str:
    return f"{article(_noun(name))} {_noun(name)}".strip()


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


# --- reading --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Claim:
    """What a step says of the picture: the atom, and whether it is affirmed or denied."""

    atom: Atom
    affirmed: bool


@dataclass(frozen=True, slots=True)
class Rationale:
    """A rationale that was read: its claims, in order, and what it concludes."""

    claims: tuple[Claim, ...]
    outcome: Outcome


def read_rationale(text: str) -> Rationale | None:
    """The claims of a text in the words of `rationale`; None if any of its sentences is not."""
    body, found, verdict = text.rpartition("The statement ")
    outcome = {f"{words}.": outcome for outcome, words in _VERDICT.items()}.get(verdict)
    if not found or outcome is None:
        return None
    claims: list[Claim] = []
    for sentence in re.findall(r"[^.]+\.", body):
        said = _read_sentence(sentence.strip())
        if said is None:
            return None
        claims += said
    return Rationale(tuple(claims), outcome)


def _read_sentence(sentence: str) -> list[Claim] | None:
    if sentence in {*_NOBODY.values(), *(f"This {words}." for words in _VERDICT.values())}:
        return []
    if sentence in {SCOPE_STATEMENT, _NO_STICKERS}:
        return [Claim(Atom("stickers"), sentence == SCOPE_STATEMENT)]
    for pattern, read in zip(_patterns(), (_read_presence, _read_link), strict=True):
        match = pattern.fullmatch(sentence)
        if match:
            return list(read(match))
    match = _SIGN_PATTERN.fullmatch(sentence)
    if match:
        return [Claim(Atom("sign_word", match["word"]), affirmed=True)]
    match = _KIND_PATTERN.fullmatch(sentence)
    kinds = {word.capitalize(): kind for kind, word in SIGN_KIND_WORDS.items()}
    return [Claim(Atom("sign_kind", kinds[match["kind"]]), match["words"] != "none")] if match else None


_SIGN = f"(?:{'|'.join(ALL_SIGN_WORDS)})"
_SIGN_PATTERN = re.compile(f"A sign says (?P<word>{_SIGN})\\.")
_KIND_PATTERN = re.compile(
    f"(?P<kind>{'|'.join(word.capitalize() for word in SIGN_KIND_WORDS.values())}) words: "
    f"(?P<words>none|{_SIGN}(?:, {_SIGN})*)\\."
)


@cache
def _names() -> dict[str, str]:
    """What `_thing` says -> concept or class id."""
    return {_thing(name): name for name in (*CLASSES, *(c.id for c in CONCEPTS), SIGN)}


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Of sentences about what is visible, and about what touches or is next to what."""
    thing, capital = _any_of(_names()), _any_of(map(_capital, _names()))
    noun, verb = _any_of(_noun(name) for name in _names().values()), _any_of(_VERBS.values())
    several = f"{thing}(?:(?:, {thing})* and {thing})?"
    return (
        re.compile(f"(?P<name>{capital}) is (?P<no>not )?visible(?:: (?P<list>{several})(?P<only> only)?)?\\."),
        re.compile(f"The (?P<noun>{noun}) (?P<verb>{verb}) (?:{_NOTHING}|(?P<list>{several}))\\."),
    )


def _any_of(words: Iterable[str]) -> str:
    return f"(?:{'|'.join(sorted(map(re.escape, words), key=len, reverse=True))})"


def _listed(match: re.Match[str]) -> list[str]:
    """Concept or class ids, in order."""
    return [_names()[thing] for thing in re.split(", | and ", match["list"])] if match["list"] else []


def _read_presence(match: re.Match[str]) -> Iterator[Claim]:
    name = {_capital(thing): name for thing, name in _names().items()}[match["name"]]
    yield Claim(_presence_of(name), not match["no"])
    listed = _listed(match)
    for thing in dict.fromkeys(listed):
        yield Claim(Atom("two", thing) if listed.count(thing) > 1 else _presence_of(thing), affirmed=True)
    if match["only"]:
        yield Claim(Atom("two", name), affirmed=False)


def _read_link(match: re.Match[str]) -> Iterator[Claim]:
    subject = {_noun(name): name for name in _names().values()}[match["noun"]]
    kind: _Link = "touching" if match["verb"] == _VERBS["touching"] else "next_to"
    yield Claim(_presence_of(subject), affirmed=True)
    for thing in _listed(match):
        yield Claim(_presence_of(thing), affirmed=True)
        if SIGN not in {subject, thing}:  # the grammar of statements has no relations of signs
            yield Claim(Atom(kind, subject, thing), affirmed=True)


def _presence_of(name: str) -> Atom:
    return Atom("sign") if name == SIGN else Atom("exists", name)
