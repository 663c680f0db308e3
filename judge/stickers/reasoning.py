"""What is visible that bears on a statement, in plain sentences: written from a scene graph, and read back into claims.

One wording for each fact, out of the tokenizer's vocabulary, so that the small model can learn them and what it writes
can be checked. Each fact is no harder to see than the statement itself. Not here: the chat turns around them
(`streams`), and who says what in a debate (`arguing`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, assert_never

from judge.stickers.atlas import SIGN
from judge.stickers.scene import Scene, reading_order
from judge.stickers.statements import SCOPE_STATEMENT, SIGN_KIND_WORDS, Atom, Statement, Truth, article
from judge.stickers.vocabulary import ALL_SIGN_WORDS, CLASSES, CONCEPTS, members, nouns, sign_kind

_Link = Literal["touching", "next_to"]
_VERBS: dict[_Link, tuple[str, str]] = {
    "touching": ("touches", "does not touch"),
    "next_to": ("is next to", "is not next to"),
}
_MOST_NAMED = 3
"""Things that are listed one by one; what is left out is not denied."""
_NO_STICKERS = "This is not a picture made of stickers."


# --- writing --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fact:
    """One sentence about a scene; `supports`: it speaks for the statement, not against it."""

    text: str
    supports: bool


def rationale(scene: Scene, statement: Statement) -> str:
    """What is visible that decides the statement, in the order of thought.

    Raises:
        ValueError: Geometry leaves the statement undecided: there is nothing to lead to.
    """
    if Truth(scene).of(statement) == "undecided":
        raise ValueError("an undecided statement has no rationale")
    return " ".join(fact.text for fact in facts(scene, statement))


def scope_rationale() -> str:
    """The same where the picture is no sticker scene: nothing of the vocabulary is in it, whatever is asked."""
    return _NO_STICKERS


def facts(scene: Scene, statement: Statement, *, all_parts: bool = False) -> list[Fact]:
    """What bears on the statement, each sentence once; what geometry leaves open is not said.

    Args:
        scene: The scene graph.
        statement: About the picture.
        all_parts: Also parts that cannot change the outcome any more: two sides argue about all of it.
    """
    steps = _Steps(scene)
    if isinstance(statement, Atom):
        return steps.of(statement)
    left = steps.truth.of(statement.left)
    parts = [statement.left, statement.right]
    if not all_parts and left == ("satisfied" if statement.joint == "or" else "rejected"):
        parts = [statement.left]
    found: dict[str, Fact] = {}
    for part in parts:
        turned = statement.joint == "but not" and part is statement.right
        for fact in steps.of(part):
            found.setdefault(fact.text, Fact(fact.text, fact.supports != turned))
    return list(found.values())


class _Steps:
    """Writes the facts about one scene."""

    def __init__(self, scene: Scene) -> None:
        self._concepts = [s.concept for s in scene.stickers]
        self._order = reading_order(scene)
        self._words = [scene.stickers[n].variant for n in self._order if self._concepts[n] == SIGN]
        self.truth = Truth(scene)

    def of(self, atom: Atom) -> list[Fact]:  # noqa: PLR0911  (one return per kind)
        """In the order of thought: whether the things are there, then how they stand to each other."""
        match atom.kind:
            case "exists":
                return [self._presence(atom.subject)]
            case "two":
                counted = self._presence(atom.subject, counted=True)
                return [Fact(counted.text, self.truth.of(atom) == "satisfied")]
            case "touching" | "next_to":
                return self._pair(atom.kind, atom.subject, atom.object)
            case "on_fire":
                return self._pair("touching", "fire", atom.subject)
            case "bleeding":
                return self._pair("touching", "drop_of_blood", atom.subject)
            case "sign" | "sign_word":
                return self._signs(atom)
            case "sign_kind":
                return [*self._signs(atom), *self._kind_of_words(atom.subject)]
            case "stickers":
                return [Fact(SCOPE_STATEMENT, supports=True)]
        assert_never(atom.kind)

    def _numbers(self, name: str) -> list[int]:
        wanted = members(name)
        return [number for number in self._order if self._concepts[number] in wanted]

    def _presence(self, name: str, *, counted: bool = False) -> Fact:
        found = self._numbers(name)
        if not found:
            return Fact(f"{_capital(_thing(name))} is not visible.", supports=False)
        head = f"{_capital(_thing(name))} is visible"
        if name not in CLASSES and not counted:
            return Fact(f"{head}.", supports=True)
        only = " only" if counted and len(found) == 1 else ""
        return Fact(f"{head}: {self._names(found[:_MOST_NAMED])}{only}.", supports=True)

    def _names(self, numbers: Sequence[int]) -> str:
        things = [_thing(self._concepts[number]) for number in numbers]
        return " and ".join([*filter(None, [", ".join(things[:-1])]), *things[-1:]])

    def _pair(self, kind: _Link, subject: str, object_: str) -> list[Fact]:
        """Whether both are there; then whether they stand so."""
        steps = [self._presence(subject)]
        if not steps[-1].supports:
            return steps
        if object_ != subject:
            steps.append(self._presence(object_))
            if not steps[-1].supports:
                return steps
        outcome = self.truth.of(Atom(kind, subject, object_))
        if outcome != "undecided":
            holds = outcome == "satisfied"
            verb = _VERBS[kind][0 if holds else 1]
            steps.append(Fact(f"{_capital(_thing(subject))} {verb} {_thing(object_)}.", holds))
        return steps

    def _signs(self, atom: Atom) -> list[Fact]:
        if not self._words:
            return [Fact("A sign is not visible.", supports=False)]
        holds = atom.kind != "sign_word" or self.truth.of(atom) == "satisfied"
        return [Fact(f"A sign says {word}.", holds) for word in self._words]

    def _kind_of_words(self, kind: str) -> list[Fact]:
        if not self._words:
            return []
        said = [word for word in self._words if sign_kind(word) == kind]
        return [Fact(f"{SIGN_KIND_WORDS[kind].capitalize()} words: {', '.join(said) or 'none'}.", bool(said))]


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


def read_claims(text: str) -> tuple[Claim, ...] | None:
    """The claims of a text in the words of `facts`, in order; None if it is empty or says anything else."""
    claims: list[Claim] = []
    sentences = re.findall(r"[^.]+\.", text)
    if not sentences or "".join(sentences).strip() != text.strip():
        return None
    for sentence in sentences:
        said = _read_sentence(sentence.strip())
        if said is None:
            return None
        claims += said
    return tuple(claims)


def _read_sentence(sentence: str) -> list[Claim] | None:
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
    several = f"{thing}(?:(?:, {thing})* and {thing})?"
    verb = _any_of(verb for pair in _VERBS.values() for verb in pair)
    return (
        re.compile(f"(?P<name>{capital}) is (?P<no>not )?visible(?:: (?P<list>{several})(?P<only> only)?)?\\."),
        re.compile(f"(?P<name>{capital}) (?P<verb>{verb}) (?P<other>{thing})\\."),
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
    subject = {_capital(thing): name for thing, name in _names().items()}[match["name"]]
    object_ = _names()[match["other"]]
    kind, holds = next((kind, match["verb"] == verbs[0]) for kind, verbs in _VERBS.items() if match["verb"] in verbs)
    if SIGN not in {subject, object_}:  # the grammar of statements has no relations of signs
        yield Claim(Atom(kind, subject, object_), holds)


def _presence_of(name: str) -> Atom:
    return Atom("sign") if name == SIGN else Atom("exists", name)
