"""What can be said about a scene: a small grammar of statements, their wording, and their truth.

`render` and `parse` are each other's inverse over the phrasings below, so that the truth of any precondition
written in these words is known. A statement may be combined with and / or / but not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal, assert_never

from judge.stickers.atlas import SIGN
from judge.stickers.scene import Relation, Scene, relations
from judge.stickers.vocabulary import ALL_SIGN_WORDS, CLASSES, CONCEPTS, SIGN_WORDS, members, nouns, sign_kind
from judge.types import Outcome

Kind = Literal[
    "exists", "two", "touching", "next_to", "on_fire", "bleeding", "sign", "sign_word", "sign_kind", "stickers"
]
SCOPE_STATEMENT = "The picture is made of stickers."
_FIRE, _BLOOD = "fire", "drop_of_blood"


@dataclass(frozen=True, slots=True)
class Atom:
    """One simple statement. `subject` and `object` are concept ids, class ids, sign words or sign kinds."""

    kind: Kind
    subject: str = ""
    object: str = ""


@dataclass(frozen=True, slots=True)
class Compound:
    """Two statements joined by `and`, `or` or `but not`."""

    joint: Literal["and", "or", "but not"]
    left: Atom
    right: Atom


Statement = Atom | Compound

PHRASINGS: dict[Kind, tuple[str, ...]] = {
    "exists": (
        "There is {a} {x}.", "{A} {x} is visible.", "The picture shows {a} {x}.", "{A} {x} can be seen.",
        "{A} {x} is in the picture.",
    ),
    "two": ("There are at least two {xs}.", "Two or more {xs} are visible.", "More than one {x} can be seen."),
    "touching": (
        "{A} {x} touches {b} {y}.", "{A} {x} is touching {b} {y}.", "There is {a} {x} that touches {b} {y}.",
        "{A} {x} and {b} {y} touch each other.", "{A} {x} is in contact with {b} {y}.",
    ),
    "next_to": (
        "{A} {x} is next to {b} {y}.", "There is {a} {x} next to {b} {y}.", "{A} {x} is close to {b} {y}.",
        "{A} {x} is near {b} {y}.", "{A} {x} is right beside {b} {y}.",
    ),
    "on_fire": ("{A} {x} is on fire.", "{A} {x} is burning.", "There is {a} {x} on fire.", "Fire touches {a} {x}."),
    "bleeding": ("{A} {x} is bleeding.", "There is blood on {a} {x}.", "{A} {x} has blood on it.",
                 "Blood touches {a} {x}."),
    "sign": ("There is a sign with a word.", "A sign is visible.", "The picture shows a sign."),
    "sign_word": ("A sign says {w}.", "The word {w} is written on a sign.", "There is a sign with the word {w}."),
    "sign_kind": ("There is a sign with {k} words.", "A sign with {k} words is visible.",
                  "{K} words are written on a sign."),
    "stickers": (SCOPE_STATEMENT, "The picture is a sticker scene.", "This is a picture of stickers."),
}  # fmt: skip
SIGN_KIND_WORDS = {"neutral": "friendly", "hateful": "hateful", "instruction": "instructing"}
_PLURALS = {
    "person": "people", "child": "children", "man": "men", "woman": "women", "old man": "old men",
    "old woman": "old women", "baby": "babies", "fish": "fish", "die": "dice", "knife": "knives",
    "kitchen knife": "kitchen knives", "bus": "buses", "raised middle finger": "raised middle fingers",
}  # fmt: skip


def article(noun: str) -> str:
    """`a`, `an`, or nothing for mass nouns and plurals of the vocabulary."""
    if noun in {"blood", "fire", "milk", "tea", "wine", "juice", "food", "bread", "crossed swords", "thumbs up"}:
        return ""
    return "an" if noun[0] in "aeiou" else "a"


def plural(noun: str) -> str:
    """Plural of a noun of the vocabulary."""
    return _PLURALS.get(noun) or (noun + "es" if noun.endswith(("s", "x", "ch")) else noun + "s")


def render(atom: Atom, *, phrasing: int = 0, subject_noun: int = 0, object_noun: int = 0) -> str:
    """The sentence for an atom, in one of its phrasings and nouns (numbers wrap around)."""
    forms = PHRASINGS[atom.kind]
    form = forms[phrasing % len(forms)]
    fields: dict[str, str] = {}
    if atom.kind == "sign_word":
        fields["w"] = atom.subject
    elif atom.kind == "sign_kind":
        word = SIGN_KIND_WORDS[atom.subject]
        fields["k"], fields["K"] = word, word.capitalize()
    elif atom.kind not in {"sign", "stickers"}:
        x = _pick(nouns(atom.subject), subject_noun)
        fields |= {"x": x, "xs": plural(x), "a": article(x), "A": article(x)}
        if atom.object:
            y = _pick(nouns(atom.object), object_noun)
            fields |= {"y": y, "b": article(y)}
    sentence = re.sub(r" +", " ", form.format(**fields)).strip()
    return sentence[0].upper() + sentence[1:]


def _pick(options: tuple[str, ...], number: int) -> str:
    return options[number % len(options)]


def within_sentence(sentence: str) -> str:
    """As it stands behind other words: a word in capitals (on a sign) keeps them."""
    first = sentence.split(" ", 1)[0]
    return sentence if first.isupper() and len(first) > 1 else sentence[0].lower() + sentence[1:]


def render_compound(compound: Compound, left: str, right: str) -> str:
    """Joins two rendered atoms into one sentence."""
    head, tail = left.rstrip("."), right[0].lower() + right[1:]
    if compound.right.kind in {"sign_word", "sign_kind"}:
        tail = right[0].lower() + right[1:]
    match compound.joint:
        case "and":
            return f"{head}, and {tail}"
        case "or":
            return f"{head}, or {tail}"
        case "but not":
            return f"{head}, but it is not true that {tail}"
    assert_never(compound.joint)


@cache
def _sentences() -> dict[str, Atom]:
    """Every sentence of the grammar with one noun slot, and patterns' nouns, lower-cased."""
    names = [c.id for c in CONCEPTS] + list(CLASSES)
    table: dict[str, Atom] = {}
    single: list[Atom] = [Atom("sign"), Atom("stickers")]
    single += [Atom("sign_word", word) for word in ALL_SIGN_WORDS] + [Atom("sign_kind", kind) for kind in SIGN_WORDS]
    single += [Atom(kind, name) for kind in ("exists", "two", "on_fire", "bleeding") for name in names]
    for atom in single:
        for phrasing in range(len(PHRASINGS[atom.kind])):
            for noun in range(len(nouns(atom.subject)) if atom.kind in {"exists", "two", "on_fire", "bleeding"} else 1):
                table.setdefault(render(atom, phrasing=phrasing, subject_noun=noun).lower(), atom)
    return table


@cache
def _names_by_noun() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in [*CLASSES, *(c.id for c in CONCEPTS)]:
        for noun in nouns(name):
            found.setdefault(noun, name)
    return found


@cache
def _pair_patterns() -> tuple[tuple[Kind, re.Pattern[str]], ...]:
    noun = "|".join(sorted(map(re.escape, _names_by_noun()), key=len, reverse=True))
    patterns: list[tuple[Kind, re.Pattern[str]]] = []
    for kind in ("touching", "next_to"):
        for form in PHRASINGS[kind]:
            text = re.escape(form.lower()).replace(r"\{a\}\ ", r"(?:an? )?").replace(r"\{b\}\ ", r"(?:an? )?")
            text = text.replace(r"\{x\}", f"(?P<x>{noun})").replace(r"\{y\}", f"(?P<y>{noun})")
            patterns.append((kind, re.compile(text)))
    return tuple(patterns)


def parse(sentence: str) -> Atom | None:
    """The atom a sentence states; None if it is not in the grammar."""
    text = " ".join(sentence.lower().split())
    text = text if text.endswith(".") else text + "."
    if text in _sentences():
        return _sentences()[text]
    for kind, pattern in _pair_patterns():
        match = pattern.fullmatch(text)
        if match:
            return Atom(kind, _names_by_noun()[match["x"]], _names_by_noun()[match["y"]])
    return None


class Truth:
    """Answers what is true of one scene; `undecided` where geometry is too close to a boundary."""

    def __init__(self, scene: Scene) -> None:
        self._concepts = [s.concept for s in scene.stickers]
        self._words = [s.variant for s in scene.stickers if s.concept == SIGN]
        self.relations: dict[tuple[int, int], Relation] = relations(scene)

    def of(self, statement: Statement) -> Outcome:
        """Truth of a statement."""
        if isinstance(statement, Atom):
            return self._atom(statement)
        left, right = self._atom(statement.left), self._atom(statement.right)
        if statement.joint == "but not":
            right = negate(right)
        return either((left, right)) if statement.joint == "or" else negate(either(map(negate, (left, right))))

    def _atom(self, atom: Atom) -> Outcome:  # noqa: PLR0911  (one return per kind)
        match atom.kind:
            case "exists":
                return _known(bool(self._numbers(atom.subject)))
            case "two":
                return _known(len(self._numbers(atom.subject)) > 1)
            case "touching" | "next_to":
                return self._pair(atom.kind, atom.subject, atom.object)
            case "on_fire":
                return self._pair("touching", _FIRE, atom.subject)
            case "bleeding":
                return self._pair("touching", _BLOOD, atom.subject)
            case "sign":
                return _known(bool(self._words))
            case "sign_word":
                return _known(atom.subject in self._words)
            case "sign_kind":
                return _known(any(sign_kind(word) == atom.subject for word in self._words))
            case "stickers":
                return "satisfied"
        assert_never(atom.kind)

    def _numbers(self, name: str) -> list[int]:
        wanted = members(name)
        return [number for number, concept in enumerate(self._concepts) if concept in wanted]

    def _pair(self, kind: Literal["touching", "next_to"], subject: str, object_: str) -> Outcome:
        pairs = {(min(i, j), max(i, j)) for i in self._numbers(subject) for j in self._numbers(object_) if i != j}
        return either(relation_outcome(kind, self.relations[pair]) for pair in pairs)


def relation_outcome(kind: Literal["touching", "next_to"], relation: Relation) -> Outcome:
    """Whether two stickers that stand so touch, or are next to each other; what touches is next to."""
    if kind == "touching":
        return "undecided" if relation == "unclear_touch" else _known(relation == "touching")
    return "undecided" if relation == "unclear_near" else _known(relation in {"touching", "near", "unclear_touch"})


def _known(value: bool) -> Outcome:
    return "satisfied" if value else "rejected"


def negate(outcome: Outcome) -> Outcome:
    """Undecided stays undecided."""
    flipped: dict[Outcome, Outcome] = {"satisfied": "rejected", "rejected": "satisfied", "undecided": "undecided"}
    return flipped[outcome]


def either(outcomes: Iterable[Outcome]) -> Outcome:
    """Whether one of them is satisfied; rejected only if all are."""
    seen = set(outcomes)
    if "satisfied" in seen:
        return "satisfied"
    return "undecided" if "undecided" in seen else "rejected"
