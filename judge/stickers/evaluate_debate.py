"""Measures the embedded model in debate: whether its judge is right, whether its sides are honest, beside a vote.

Statements are drawn evenly true and false, and all of them are put to the cascade's own stages: not only those that
a one-token answer leaves open, which are shown apart.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from judge.config import DebateSettings, Thresholds, VoteSettings
from judge.engines.base import Engine
from judge.metrics import Measured, balanced_accuracy, bootstrap, share
from judge.stages.cast import Cast
from judge.stages.debate_stage import DebateStage
from judge.stages.escalation import OpenQuestion, SlowStage
from judge.stages.vote import VoteStage
from judge.stickers.arguing import strip_answer
from judge.stickers.corpus import Asker
from judge.stickers.evaluate import frame
from judge.stickers.evaluate_reasoning import MAX_TOKENS, THRESHOLDS, Row, open_questions
from judge.stickers.reasoning import read_claims
from judge.stickers.scene import Scene
from judge.stickers.splits import Item
from judge.stickers.statements import Truth
from judge.types import Evidence, Usage

_PICTURES = 16
"""Argued about together."""


@dataclass(frozen=True, slots=True)
class Case:
    """A statement about a scene, and what is known of it before."""

    scene: Scene
    question: OpenQuestion
    holds: bool


@dataclass(slots=True)
class Settled:
    """What a stage said of all cases."""

    found: list[Evidence] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0


@dataclass(slots=True)
class Contest:
    """The cases, and what each way of settling them came to, by its name."""

    cases: list[Case] = field(default_factory=list)
    settled: dict[str, Settled] = field(default_factory=dict)


def _stages(engine: Engine) -> dict[str, SlowStage]:
    limits = {"turn_tokens": MAX_TOKENS, "judge_tokens": 40}
    one = DebateSettings(**limits)
    both = DebateSettings(orders="both", **limits)
    return {
        "vote": VoteStage(engine, VoteSettings(max_tokens=MAX_TOKENS), THRESHOLDS),
        "debate": DebateStage(Cast(engine), one, THRESHOLDS),
        "debate, both orders": DebateStage(Cast(engine), both, THRESHOLDS),
    }


async def contest(engine: Engine, items: Sequence[Item], seed: int = 0) -> Contest:
    """One statement about every scene among the items, settled in every way.

    Raises:
        EngineError: The engine could not answer.
    """
    rng = np.random.default_rng([seed, 1])
    result = Contest(settled={name: Settled() for name in _stages(engine)})
    scenes = [(item, item.scene) for item in items if item.scene]
    for start in range(0, len(scenes), _PICTURES):
        part = scenes[start : start + _PICTURES]
        drawn = [(frame(item), scene, Asker(scene, rng).statement(wished_share=1.0)) for item, scene in part]
        questions = await open_questions(engine, [(picture, sentence) for picture, _, (_, sentence, _) in drawn])
        result.cases += [
            Case(scene, question, outcome == "satisfied")
            for (_, scene, (_, _, outcome)), question in zip(drawn, questions, strict=True)
        ]
        for name, stage in _stages(engine).items():
            began = time.perf_counter()
            answers = await stage.settle(questions)
            kept = result.settled[name]
            kept.seconds += time.perf_counter() - began
            kept.found += [answer.evidence for answer in answers]
            kept.usage = sum((answer.usage for answer in answers), kept.usage)
    return result


def debate_rows(result: Contest) -> list[Row]:
    """The figures, for the goals table."""
    unsure = [n for n, case in enumerate(result.cases) if _unsure(case.question.evidence.probability, THRESHOLDS)]
    rows: list[Row] = []
    for name, settled in result.settled.items():
        count = max(1, len(settled.found))
        rows += [
            (f"{name}: balanced accuracy", "", _accuracy(result.cases, settled.found)),
            (f"  of {len(unsure)} that one token leaves open", "", _right(result.cases, settled.found, unsure)),
            ("  decided", "", share([item.outcome != "undecided" for item in settled.found])),
            ("  tokens written per question", "", settled.usage.completion_tokens / count),
            ("  seconds per question", "", settled.seconds / count),
        ]
    before = [case.question.evidence for case in result.cases]
    turns = list(_sides(result))
    claims = [flag for flags in turns if flags is not None for flag in flags]
    return [
        ("the same statements in one token", "", _accuracy(result.cases, before)),
        *rows,
        ("turns in the words taught", "", share([flags is not None for flags in turns])),
        ("  their claims that are true", "", share(claims) if claims else float("nan")),
    ]


def _sides(result: Contest) -> Iterable[list[bool] | None]:
    """Of each debater's turn, whether its claims are true; None if it is not in the words that were taught."""
    for case, evidence in zip(result.cases, result.settled["debate"].found, strict=True):
        truth = Truth(case.scene)
        for turn in (turn for debate in evidence.debates for turn in debate.turns):
            if turn.speaker not in {"affirmative", "negative"}:
                continue
            said = strip_answer(turn.text)
            claims = read_claims(said) if said else ()
            outcomes = [(truth.of(claim.atom), claim.affirmed) for claim in claims or ()]
            flags = [(outcome == "satisfied") == affirmed for outcome, affirmed in outcomes if outcome != "undecided"]
            yield None if claims is None else flags


def _unsure(probability: float, thresholds: Thresholds) -> bool:
    return thresholds.reject < probability < thresholds.accept


def _accuracy(cases: Sequence[Case], found: Sequence[Evidence]) -> Measured:
    """Of the probabilities at 0.5: what was left open counts by them, too."""
    holds = np.array([case.holds for case in cases], dtype=np.bool_)
    said = np.array([evidence.probability >= 0.5 for evidence in found], dtype=np.bool_)
    return bootstrap(balanced_accuracy, holds, said)


def _right(cases: Sequence[Case], found: Sequence[Evidence], which: Sequence[int]) -> Measured | float:
    if not which:
        return float("nan")
    return share([(found[n].probability >= 0.5) == cases[n].holds for n in which])
