"""Measures a model on the sticker splits: the goals table, and verdict metrics of every way of asking.

The model is asked once per picture; presets are compared on the same readings. Verdict scores of 0.5 and more count
as flagged in precision, recall and F1; the three-valued verdict's abstentions are shown as coverage and accuracy
among the decided. Source of the goals: the project's model card.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from judge.config import Preset, Thresholds
from judge.constitution import Constitution
from judge.debias import settle
from judge.decide import decide, decide_rule
from judge.engines.base import Engine
from judge.metrics import Measured, auroc, balanced_accuracy, bootstrap, ece, f1, precision, recall, share
from judge.prompts.render import precondition_prompt
from judge.stages.direct import policy_direct, rule_whole
from judge.stages.prior_store import PriorStore
from judge.stages.token_probability import FrameAnswers, FrameQuestions, TokenProbability
from judge.stickers.corpus import Asker
from judge.stickers.splits import Item
from judge.stickers.statements import SCOPE_STATEMENT, Atom
from judge.types import Evidence, Frame

_UNDEBIASED = Thresholds(preset="none", accept=0.5, reject=0.5)
_SCOPE = "(scope)"
METHODS: tuple[str, ...] = ("policy_direct", "rule_whole", "none", "threshold", "clue", "log_odds")


@dataclass(frozen=True, slots=True)
class Scored:
    """One picture under one way of asking; `flagged` is None for an abstention."""

    item: Item
    score: float
    flagged: bool | None


@dataclass(frozen=True, slots=True)
class Asked:
    """One picture's readings: every precondition, and the two baselines."""

    item: Item
    answers: FrameAnswers
    policy: float
    rules: Mapping[str, float]


def frame(item: Item) -> Frame:
    """The picture as a frame."""
    return Frame(0, 0.0, item.image)


async def ask(engine: Engine, constitution: Constitution, items: Sequence[Item], batch: int = 16) -> list[Asked]:
    """Asks all preconditions (with and without image), the scope statement and both baselines."""
    stage = TokenProbability(engine, Thresholds(preset="log_odds"), PriorStore(None))
    statements = {p.id: p.statement for p in constitution.preconditions} | {_SCOPE: SCOPE_STATEMENT}
    asked: list[Asked] = []
    for start in range(0, len(items), batch):
        part = items[start : start + batch]
        frames = [frame(item) for item in part]
        answers = await stage.ask([FrameQuestions(f, statements) for f in frames])
        policy = await policy_direct(engine, constitution.rules, frames, _UNDEBIASED)
        rules = await rule_whole(engine, constitution.rules, frames, _UNDEBIASED)
        for item, answer, direct, whole in zip(part, answers, policy, rules, strict=True):
            asked.append(Asked(item, answer, direct.probability, {k: e.probability for k, e in whole.items()}))
    return asked


def score(
    asked: Sequence[Asked], constitution: Constitution, method: str, thresholds: Thresholds | None = None
) -> list[Scored]:
    """Scores under one way of asking; presets are applied to the stored readings."""
    if method == "policy_direct":
        return [Scored(a.item, a.policy, a.policy >= 0.5) for a in asked]
    if method == "rule_whole":
        return [Scored(a.item, max(a.rules.values()), max(a.rules.values()) >= 0.5) for a in asked]
    preset: Preset = method  # type: ignore[assignment]
    chosen = thresholds or Thresholds(preset=preset)
    return [_decided(a, constitution, chosen) for a in asked]


def _decided(asked: Asked, constitution: Constitution, thresholds: Thresholds) -> Scored:
    evidence = {name: _resettled(e, thresholds) for name, e in asked.answers.evidence.items()}
    decision = decide([decide_rule(constitution, rule, evidence, 0) for rule in constitution.rules])
    return Scored(asked.item, decision.score, decision.flagged)


def _resettled(evidence: Evidence, thresholds: Thresholds) -> Evidence:
    if evidence.readings is None:
        return evidence
    settled = settle(evidence.readings, thresholds, evidence.precondition_id)
    return evidence.model_copy(
        update={"outcome": settled.outcome, "probability": settled.probability, "reason": settled.reason}
    )


def fit_bias(asked: Sequence[Asked], constitution: Constitution) -> Thresholds:
    """The `threshold` preset with the logit shift of best F1 on these (calibration) pictures."""
    harmful = np.array([bool(a.item.harmful) for a in asked])
    candidates = [Thresholds(preset="threshold", bias=float(b)) for b in np.linspace(-3, 3, 25)]

    def quality(thresholds: Thresholds) -> float:
        return f1(harmful, np.array([s.score for s in score(asked, constitution, "threshold", thresholds)]))

    return max(candidates, key=quality)


def verdict_metrics(scored: Sequence[Scored]) -> dict[str, Measured]:
    """Precision, recall, F1, AUROC, ECE of the scores; coverage and accuracy of the decided verdicts."""
    harmful = np.array([bool(s.item.harmful) for s in scored])
    scores = np.array([s.score for s in scored], dtype=np.float64)
    decided = [s for s in scored if s.flagged is not None]
    measures = {"precision": precision, "recall": recall, "f1": f1, "auroc": auroc, "ece": ece}
    found = {name: bootstrap(measure, harmful, scores) for name, measure in measures.items()}
    found["coverage"] = share([s.flagged is not None for s in scored])
    found["decided_accuracy"] = share([s.flagged == s.item.harmful for s in decided])
    return found


def pair_accuracy(scored: Sequence[Scored]) -> Measured:
    """Share of groups whose members are all right."""
    groups: dict[str, list[bool]] = {}
    for s in scored:
        groups.setdefault(s.item.group, []).append((s.score >= 0.5) == s.item.harmful)
    return share([all(right) for right in groups.values()])


def flip_rate(scored: Sequence[Scored]) -> Measured:
    """Share of pictures whose answer differs from the first one of their group."""
    first: dict[str, bool] = {}
    flips: list[bool] = []
    for s in scored:
        said = s.score >= 0.5
        if s.item.group in first:
            flips.append(said != first[s.item.group])
        else:
            first[s.item.group] = said
    return share(flips)


def scope_share(asked: Sequence[Asked], min_probability: float) -> Measured:
    """Share of pictures that the model places outside its domain."""
    readings = [a.answers.evidence[_SCOPE].readings for a in asked]
    return share([r is not None and r.observed < min_probability for r in readings])


async def statement_accuracy(engine: Engine, items: Sequence[Item], per_picture: int = 10) -> dict[str, Measured]:
    """Balanced accuracy on random statements: what is visible, and relations and states."""
    rng = np.random.default_rng(0)
    rows: dict[str, list[tuple[bool, bool]]] = {"visible": [], "relations": []}
    for start in range(0, len(items), 16):
        drawn = [(item, *Asker(item.scene, rng).statement()) for item in items[start : start + 16]
                 if item.scene for _ in range(per_picture)]  # fmt: skip
        frames = {item.id: frame(item) for item, *_ in drawn}
        answers = await engine.choose([precondition_prompt(text, (frames[item.id],)) for item, _, text, _ in drawn])
        for (_, statement, _, outcome), answer in zip(drawn, answers, strict=True):
            kind = statement.kind if isinstance(statement, Atom) else ""
            table = {"exists": "visible", "touching": "relations", "next_to": "relations",
                     "on_fire": "relations", "bleeding": "relations"}.get(kind)  # fmt: skip
            if table:
                rows[table].append((outcome == "satisfied", answer.probabilities["Yes"] >= 0.5))
    return {
        name: bootstrap(balanced_accuracy, np.array([t for t, _ in pairs]), np.array([s for _, s in pairs]))
        for name, pairs in rows.items()
    }
