"""Measures the embedded model's reasoning: whether it helps, whether what it says is so, and what it costs.

Statements are drawn evenly true and false, asked in one token, and then put to the cascade's own stage, all of them:
not only those that the one-token answer leaves open, which are shown apart.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from judge.config import ReasoningSettings, Thresholds
from judge.constitution import Precondition
from judge.engines.base import Engine
from judge.metrics import Measured, balanced_accuracy, bootstrap, ece, share
from judge.prompts.render import precondition_prompt
from judge.stages.chain_of_thought import ChainOfThought
from judge.stages.escalation import OpenQuestion, Settlement
from judge.stages.questions import Question, choose, to_evidence
from judge.stickers.corpus import Asker
from judge.stickers.evaluate import frame
from judge.stickers.reasoning import Claim, read_claims
from judge.stickers.splits import Item
from judge.stickers.statements import Truth
from judge.types import Frame, Usage

MAX_TOKENS = 96
"""The longest rationale in 6,000 training questions had 74."""
THRESHOLDS = Thresholds(preset="none")
_RELATIONS = frozenset({"touching", "next_to", "on_fire", "bleeding"})
_THINGS = frozenset({"exists", "two", "sign", "sign_word"})
_PICTURES = 16
"""Asked about in one call."""

Row = tuple[str, str, Measured | float]
"""What was measured, the goal (empty = none is set), the value."""


@dataclass(frozen=True, slots=True)
class Thought:
    """One statement, answered both ways.

    Attributes:
        kind: Of the statement.
        holds: Its truth.
        direct: P(Yes) in one token.
        reasoned: P(Yes) behind the reasoning; None if there was no reading.
        parsed: The rationale is in the words that were taught.
        claims: Of each step that geometry decides, whether it is true of the scene.
        named: Of each thing said to be there, whether it is.
    """

    kind: str
    holds: bool
    direct: float
    reasoned: float | None
    parsed: bool
    claims: tuple[bool, ...]
    named: tuple[bool, ...]

    @property
    def said(self) -> bool:
        """The answer behind the reasoning; where there is none, the wrong one."""
        return not self.holds if self.reasoned is None else self.reasoned >= 0.5


@dataclass(slots=True)
class Thoughts:
    """Everything that was thought, and what it took."""

    each: list[Thought] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    direct_s: float = 0.0
    reasoned_s: float = 0.0


async def think(engine: Engine, items: Sequence[Item], per_picture: int = 2, seed: int = 0) -> Thoughts:
    """Asks about every scene among the items.

    Raises:
        EngineError: The engine could not answer.
    """
    rng = np.random.default_rng(seed)
    stage = ChainOfThought(engine, ReasoningSettings(max_tokens=MAX_TOKENS), THRESHOLDS)
    thoughts = Thoughts()
    scenes = [(item, item.scene) for item in items if item.scene]
    for start in range(0, len(scenes), _PICTURES):
        part = [(frame(item), scene, Asker(scene, rng)) for item, scene in scenes[start : start + _PICTURES]]
        drawn = [(f, scene, asker.statement(wished_share=1.0)) for f, scene, asker in part for _ in range(per_picture)]
        began = time.perf_counter()
        questions = await open_questions(engine, [(f, sentence) for f, _, (_, sentence, _) in drawn])
        asked = time.perf_counter()
        settled = await stage.settle(questions)
        thoughts.direct_s += asked - began
        thoughts.reasoned_s += time.perf_counter() - asked
        for (_, scene, (statement, _, outcome)), question, found in zip(drawn, questions, settled, strict=True):
            thoughts.usage += found.usage
            kind = getattr(statement, "kind", "compound")
            thoughts.each.append(_judged(kind, outcome == "satisfied", Truth(scene), question, found))
    return thoughts


async def open_questions(engine: Engine, drawn: Sequence[tuple[Frame, str]]) -> list[OpenQuestion]:
    """Statements about pictures, each with its reading in one token.

    Raises:
        EngineError: The engine could not answer.
    """
    asked = [
        Question("token_probability", "statement", sentence, precondition_prompt(sentence, (picture,)))
        for picture, sentence in drawn
    ]
    answers = await choose(engine, [question.prompt for question in asked])
    return [
        OpenQuestion(
            question.prompt.frames[0],
            Precondition(id=question.id, statement=question.statement),
            to_evidence(question, answer, THRESHOLDS),
        )
        for question, answer in zip(asked, answers, strict=True)
    ]


def _judged(kind: str, holds: bool, truth: Truth, question: OpenQuestion, settled: Settlement) -> Thought:
    readings = settled.evidence.readings
    reasoned = readings.references.get("reasoned") if readings else None
    claims = read_claims(settled.evidence.rationale)
    return Thought(
        kind=kind,
        holds=holds,
        direct=question.evidence.probability,
        reasoned=reasoned,
        parsed=claims is not None,
        claims=tuple(_checked(truth, claims or ())),
        named=tuple(_checked(truth, (c for c in claims or () if c.affirmed and c.atom.kind in _THINGS))),
    )


def _checked(truth: Truth, claims: Iterable[Claim]) -> Iterable[bool]:
    """Claims that geometry leaves open are left out."""
    for claim in claims:
        outcome = truth.of(claim.atom)
        if outcome != "undecided":
            yield (outcome == "satisfied") == claim.affirmed


def reasoning_rows(thoughts: Thoughts) -> list[Row]:
    """The figures, for the goals table; nan where nothing was asked of that sort."""
    every = thoughts.each
    relations = [t for t in every if t.kind in _RELATIONS]
    unsure = [t for t in every if THRESHOLDS.reject < t.direct < THRESHOLDS.accept]
    count = max(1, len(every))
    return [
        ("reasoning: balanced accuracy", "", _accuracy(every, reasoned=True)),
        ("  the same statements in one token", "", _accuracy(every, reasoned=False)),
        ("reasoning: relations and states", "", _accuracy(relations, reasoned=True)),
        ("  the same in one token", "", _accuracy(relations, reasoned=False)),
        (
            f"reasoning: right, of {len(unsure)} that one token leaves open",
            "",
            _share(t.said == t.holds for t in unsure),
        ),
        ("  the same in one token", "", _share((t.direct >= 0.5) == t.holds for t in unsure)),
        ("reasoning: calibration error", "", _miscalibration(every, reasoned=True)),
        ("  the same in one token", "", _miscalibration(every, reasoned=False)),
        ("rationales in the words taught", "", _share(t.parsed for t in every)),
        ("  their claims that are true", "", _share(claim for t in every for claim in t.claims)),
        ("  things they name that are there", "", _share(name for t in every for name in t.named)),
        ("tokens written per question", "", thoughts.usage.completion_tokens / count),
        ("seconds per question, reasoned", "", thoughts.reasoned_s / count),
        ("seconds per question, one token", "", thoughts.direct_s / count),
    ]


def _share(flags: Iterable[bool]) -> Measured:
    known = list(flags)
    return share(known) if known else Measured(math.nan, math.nan, math.nan)


def _miscalibration(thoughts: Sequence[Thought], *, reasoned: bool) -> Measured:
    pairs = [(t.holds, t.reasoned if reasoned else t.direct) for t in thoughts]
    known = [(holds, probability) for holds, probability in pairs if probability is not None]
    columns = np.array([holds for holds, _ in known], dtype=np.bool_), np.array([p for _, p in known], dtype=np.float64)
    return bootstrap(ece, *columns)


def _accuracy(thoughts: Sequence[Thought], *, reasoned: bool) -> Measured:
    holds = np.array([t.holds for t in thoughts], dtype=np.bool_)
    said = np.array([t.said if reasoned else t.direct >= 0.5 for t in thoughts], dtype=np.bool_)
    return bootstrap(balanced_accuracy, holds, said)
