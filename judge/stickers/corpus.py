"""Questions and descriptions about a scene, for training: what is asked, in which template, and the right answer.

Labels come from the scene graph; what geometry leaves undecided is not asked. About two questions in three are
drawn with a wished answer (so that yes and no are balanced), the others as they come (so that the model has a
prior of its own, as large models have).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np

from judge.prompts.debate import Subject, debate_prompt
from judge.prompts.render import (
    clip_prompt,
    describe_prompt,
    policy_prompt,
    precondition_prompt,
    reasoning_prompt,
    rule_prompt,
)
from judge.stickers.arguing import draw_turn
from judge.stickers.atlas import SIGN
from judge.stickers.clips import CLIP_KINDS, ClipStatement, clip_sentence, clip_truth
from judge.stickers.reasoning import rationale, scope_rationale
from judge.stickers.sampling import RISKY_PAIRS, edit
from judge.stickers.scene import Scene, reading_order
from judge.stickers.statements import Atom, Compound, Kind, Statement, Truth, article, render, render_compound
from judge.stickers.vocabulary import (
    ALL_SIGN_WORDS,
    CLASSES,
    CONCEPTS,
    SIGN_WORDS,
    concept,
    members,
    nouns,
    sign_kind,
)  # fmt: skip
from judge.types import Outcome, Prompt

_CONCEPT_IDS = tuple(c.id for c in CONCEPTS)
_CLASS_IDS = tuple(CLASSES)
_KINDS: tuple[tuple[Kind | Literal["compound"], float], ...] = (
    ("exists", 0.32), ("next_to", 0.20), ("touching", 0.19), ("on_fire", 0.025), ("bleeding", 0.025),
    ("sign_kind", 0.03), ("sign_word", 0.03), ("sign", 0.01), ("two", 0.03), ("stickers", 0.02), ("compound", 0.05),
)  # fmt: skip
_KIND_NAMES = tuple(kind for kind, _ in _KINDS)
_KIND_WEIGHTS = np.array([weight for _, weight in _KINDS])


Asked = Literal["precondition", "rule", "policy", "reason", "debate"]
"""Tasks that ask about statements."""
WRONG_RATIONALES = 0.3
"""Share of the rationales that are about another, similar scene. Nobody learns to write those; but who answers behind
them learns to look for itself, as the model's own rationales are not all true either."""


@dataclass(frozen=True, slots=True)
class Question:
    """What the user turn says, and the answer: `Yes` or `No`, given at once or behind a rationale, or a text.

    Attributes:
        said: The answer is a text, all of which is learned.
        learned: The rationale is right, and learned.
    """

    text: str
    answer: str
    kind: str
    rationale: str = ""
    said: bool = False
    learned: bool = True


class Asker:
    """Draws questions about one scene."""

    def __init__(self, scene: Scene, rng: np.random.Generator) -> None:
        self._scene = scene
        self._rng = rng
        self._truth = Truth(scene)
        self._present = [s.concept for s in scene.stickers if s.concept != SIGN]
        self._words = [s.variant for s in scene.stickers if s.concept == SIGN]

    def question(self, task: Asked) -> Question:
        """One question in a task's template."""
        match task:
            case "precondition":
                return self._precondition()
            case "rule":
                return self._rule()
            case "policy":
                return self._policy()
            case "reason":
                return self._reason()
            case "debate":
                return self._debate()
        assert_never(task)

    def _precondition(self) -> Question:
        statement, sentence, outcome = self.statement()
        return Question(precondition_prompt(sentence).messages[0].text, _answer(outcome), _kind(statement))

    def _rule(self) -> Question:
        _, sentence, outcome = self.statement()
        return Question(rule_prompt(sentence).messages[0].text, _answer(outcome), "rule")

    def _policy(self) -> Question:
        drawn = [self.statement() for _ in range(int(self._rng.integers(2, 13)))]
        if self._rng.random() < 0.5:  # a list of things that are mostly absent, as a policy is
            drawn = [d for d in drawn if d[2] == "rejected" or self._rng.random() < 0.12] or drawn
        broken: Outcome = "satisfied" if any(d[2] == "satisfied" for d in drawn) else "rejected"
        return Question(policy_prompt([d[1] for d in drawn]).messages[0].text, _answer(broken), "policy")

    def _reason(self) -> Question:
        statement, sentence, outcome = self.statement(wished_share=1.0)
        text = reasoning_prompt(sentence, ()).messages[0].text
        others = self._similar() if self._rng.random() < WRONG_RATIONALES else []
        wrong = [scene for scene in others if Truth(scene).of(statement) != "undecided"]
        thought = rationale(wrong[0] if wrong else self._scene, statement)
        return Question(text, _answer(outcome), "reason", thought, learned=not wrong)

    def _debate(self) -> Question:
        turn = draw_turn(self._scene, self._similar(), self.statement(wished_share=1.0), self._rng)
        return Question(turn.text, turn.answer, "debate", said=True)

    def _similar(self) -> list[Scene]:
        """Scenes with one sticker removed, swapped or moved."""
        count = len(self._scene.stickers)
        drawn = [edit(self._scene, int(self._rng.integers(count)), self._rng) for _ in range(2)] if count else []
        return [scene for scene in drawn if scene is not None]

    def statement(self, wished_share: float = 0.65) -> tuple[Statement, str, Outcome]:
        """A decided statement, its sentence, and its truth, balanced in `wished_share` of the draws."""
        wish: Outcome | None = None
        if self._rng.random() < wished_share:
            wish = "satisfied" if self._rng.random() < 0.5 else "rejected"
        kind = self._kind_of_question()
        for attempt in range(12):
            drawn = self._compound() if kind == "compound" else self._true_or_any(kind, wish)
            outcome = self._truth.of(drawn)
            if outcome != "undecided" and (wish is None or outcome == wish or attempt > 8):
                return drawn, self.sentence(drawn), outcome
        fallback = Atom("exists", self._name(present=False))
        return fallback, self.sentence(fallback), self._truth.of(fallback)

    def _kind_of_question(self) -> Kind | Literal["compound"]:
        """Questions about fire, blood and signs are asked more often where there are some."""
        weights = _KIND_WEIGHTS.copy()
        for cause, kinds in (("fire", ("on_fire",)), ("drop_of_blood", ("bleeding",))):
            if cause in self._present:
                weights[[_KIND_NAMES.index(kind) for kind in kinds]] *= 8
        if self._words:
            weights[[_KIND_NAMES.index(kind) for kind in ("sign", "sign_word", "sign_kind")]] *= 4
        return _KIND_NAMES[self._rng.choice(len(_KIND_NAMES), p=weights / weights.sum())]

    def sentence(self, statement: Statement) -> str:
        """A random wording."""
        if isinstance(statement, Compound):
            return render_compound(statement, self.sentence(statement.left), self.sentence(statement.right))
        draw = self._rng.integers(0, 60, 3)
        plain = self._rng.random() < 0.75  # the standard nouns and wording most of the time
        return render(
            statement,
            phrasing=0 if self._rng.random() < 0.4 else int(draw[0]),
            subject_noun=0 if plain else int(draw[1]),
            object_noun=0 if plain else int(draw[2]),
        )

    def _compound(self) -> Compound:
        kinds: tuple[Kind, ...] = ("exists", "exists", "next_to", "touching", "on_fire", "bleeding", "sign_kind")
        left, right = (self._atom(kinds[self._rng.integers(len(kinds))]) for _ in range(2))
        joints: tuple[Literal["and", "or", "but not"], ...] = ("and", "or", "but not")
        return Compound(joints[self._rng.integers(3)], left, right)

    def _true_or_any(self, kind: Kind, wish: Outcome | None) -> Atom:
        """For a wished Yes about a relation, a pair that really stands so; the rest is left to chance."""
        if wish != "satisfied" or kind not in {"touching", "next_to", "on_fire", "bleeding"}:
            return self._atom(kind)
        cause = {"on_fire": "fire", "bleeding": "drop_of_blood"}.get(kind, "")
        accepted = {"touching"} if kind != "next_to" else {"touching", "near"}
        concepts = [s.concept for s in self._scene.stickers]
        pairs = [
            (concepts[i], concepts[j])
            for (a, b), relation in self._truth.relations.items()
            for i, j in ((a, b), (b, a))
            if relation in accepted and cause in {"", concepts[i]} and SIGN not in {concepts[i], concepts[j]}
        ]
        if not pairs:
            return self._atom("exists" if self._rng.random() < 0.7 else kind)
        first, second = (self._widen(name) for name in pairs[self._rng.integers(len(pairs))])
        return Atom(kind, second) if cause else Atom(kind, first, second)

    def _widen(self, name: str) -> str:
        """The concept itself, or one of its classes."""
        classes = concept(name).classes
        return classes[self._rng.integers(len(classes))] if classes and self._rng.random() < 0.5 else name

    def _atom(self, kind: Kind) -> Atom:  # noqa: PLR0911  (one return per kind)
        rng = self._rng
        if kind in {"stickers", "sign"}:
            return Atom(kind)
        if kind == "sign_word":
            pool = self._words if self._words and rng.random() < 0.5 else ALL_SIGN_WORDS
            return Atom(kind, pool[rng.integers(len(pool))])
        if kind == "sign_kind":
            if self._words and rng.random() < 0.4:
                return Atom(kind, sign_kind(self._words[0]))
            return Atom(kind, tuple(SIGN_WORDS)[rng.integers(len(SIGN_WORDS))])
        if kind in {"on_fire", "bleeding"}:
            living = ("person", "animal", "child", "adult")
            if rng.random() < 0.5:
                return Atom(kind, living[rng.integers(4)])
            return Atom(kind, self._name(present=rng.random() < 0.7))
        if kind in {"touching", "next_to"}:
            return self._pair(kind)
        return Atom(kind, self._name(present=rng.random() < 0.55))

    def _pair(self, kind: Kind) -> Atom:
        draw = self._rng.random()
        if draw < 0.25:
            pairs = [pair for pair in RISKY_PAIRS if SIGN not in pair]
            first, second = pairs[self._rng.integers(len(pairs))]
            return Atom(kind, first, second)
        first = self._name(present=draw < 0.92)
        second = self._name(present=draw < 0.78)
        return Atom(kind, first, second) if draw > 0.5 else Atom(kind, second, first)

    def _name(self, *, present: bool) -> str:
        """A concept or class that is in the scene; or any, with a taste for relatives of what is there."""
        rng = self._rng
        if not self._present:
            return _CONCEPT_IDS[rng.integers(len(_CONCEPT_IDS))]
        drawn = self._present[rng.integers(len(self._present))]
        if not present:
            if rng.random() < 0.25:
                return _CLASS_IDS[rng.integers(len(_CLASS_IDS))]
            relatives = [c for name in concept(drawn).classes for c in members(name) if c != drawn]
            if relatives and rng.random() < 0.4:
                return relatives[rng.integers(len(relatives))]
            return _CONCEPT_IDS[rng.integers(len(_CONCEPT_IDS))]
        return self._widen(drawn)


def clip_question(frames: Sequence[Scene], rng: np.random.Generator) -> Question:
    """What holds along these frames of a clip; the atoms are drawn from one of them.

    Half of the questions have a Yes, as far as a dozen draws find one.
    """
    wish: Outcome = "satisfied" if rng.random() < 0.5 else "rejected"
    asker = Asker(frames[int(rng.integers(len(frames)))], rng)
    for attempt in range(12):
        atom, sentence, _ = asker.statement(wished_share=0.8)
        if isinstance(atom, Compound):
            continue
        statement = ClipStatement(CLIP_KINDS[rng.integers(len(CLIP_KINDS))], atom)
        outcome = clip_truth(statement, frames)
        if outcome == wish or (outcome != "undecided" and attempt > 8):
            text = clip_prompt(clip_sentence(statement, sentence)).messages[0].text
            return Question(text, _answer(outcome), "clip")
    statement = ClipStatement("sometime", Atom("stickers"))
    return Question(clip_prompt(clip_sentence(statement)).messages[0].text, "Yes", "clip")


def _answer(outcome: Outcome) -> str:
    return "Yes" if outcome == "satisfied" else "No"


def _kind(statement: Statement) -> str:
    return statement.kind if isinstance(statement, Atom) else "compound"


_SCOPE_PROMPTS: dict[Asked, Callable[[str], Prompt]] = {
    "precondition": precondition_prompt,
    "rule": rule_prompt,
    "policy": lambda sentence: policy_prompt([sentence]),
    "reason": lambda sentence: reasoning_prompt(sentence, ()),
    "debate": lambda sentence: debate_prompt(Subject("precondition", (sentence,)), "judge", (), ()),
}


_SCOPE_ANSWERS: dict[Asked, str] = {"debate": f"No, {scope_rationale()[0].lower()}{scope_rationale()[1:]}"}


def scope_questions(count: int, rng: np.random.Generator, task: Asked = "precondition") -> list[Question]:
    """Questions about a picture that is no sticker scene: nothing of the vocabulary is in it."""
    asked: list[Question] = []
    for number in range(count):
        atom = Atom("exists", (*_CONCEPT_IDS, *_CLASS_IDS)[rng.integers(len(_CONCEPT_IDS) + len(_CLASS_IDS))])
        if task == "precondition" and number % 2 == 0:
            atom = Atom("stickers")
        sentence = render(atom, phrasing=int(rng.integers(15)))
        text = _SCOPE_PROMPTS[task](sentence).messages[0].text
        thought = scope_rationale() if task == "reason" else ""
        asked.append(Question(text, _SCOPE_ANSWERS.get(task, "No"), atom.kind, thought, said=task == "debate"))
    return asked


def describe_question() -> str:
    """The user turn that asks for a description."""
    return describe_prompt(()).messages[0].text


def description(scene: Scene) -> str:
    """What is where, from top left to bottom right, then who touches whom."""
    if not scene.stickers:
        return "The picture is made of stickers. It is empty."
    names = [
        f"a sign that says {s.variant}"
        if s.concept == SIGN
        else f"{article(nouns(s.concept)[0])} {nouns(s.concept)[0]}".strip()
        for s in scene.stickers
    ]
    said = ", ".join(names[n] for n in reading_order(scene))
    contacts = [f"{names[i]} touches {names[j]}" for (i, j), r in Truth(scene).relations.items() if r == "touching"]
    text = f"The picture is made of stickers: {said}."
    return text + "".join(f" {c[0].upper()}{c[1:]}." for c in contacts[:3])
