"""What a debate comes to, from the judge's last reading and its words; and two debates of one motion as one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from judge.config import DebateSettings, Thresholds
from judge.debias import none, settle
from judge.errors import AnswerError
from judge.odds import logit, sigmoid
from judge.prompts.debate import Subject
from judge.stages.speech import parse_answer
from judge.types import Debate, Outcome, Readings, Turn


@dataclass(frozen=True, slots=True)
class Ruling:
    """As the fields of `Debate`: `probability` is None where nothing can be relied on, and then it is undecided."""

    outcome: Outcome
    probability: float | None
    answer: str = ""
    reason: str = ""


def rule_on(turn: Turn, subject: Subject, settings: DebateSettings, thresholds: Thresholds, *, unread: str) -> Ruling:
    """The judge's last turn as a ruling.

    Args:
        turn: Its reading and its words.
        subject: What was argued about.
        settings: What a refusal means. That a precondition holds need not make media harmful: there, it means nothing.
        thresholds: `accept`, `reject` and `min_mass` count.
        unread: Why there is no reading; empty if there is one.
    """
    try:
        says = parse_answer(turn.text).says
    except AnswerError as error:
        if settings.refusal == "harmful" and subject.kind != "precondition":
            return Ruling("satisfied", thresholds.accept)
        return Ruling("undecided", None, reason="the judge refused to answer" if turn.refused else error.message)
    if turn.probability is None or turn.mass is None:
        return Ruling("undecided", None, turn.text, unread)
    settled = settle(Readings(observed=turn.probability, mass=turn.mass), _plain(thresholds))
    if turn.mass < thresholds.min_mass:
        return Ruling("undecided", None, turn.text, settled.reason)
    if settled.outcome == ("rejected" if says == "Yes" else "satisfied"):
        reason = f"the judge wrote {says}, but read P(Yes) as {turn.probability:.2f}"
        return Ruling("undecided", None, turn.text, reason)
    return Ruling(settled.outcome, settled.probability, turn.text, settled.reason)


def is_sure(turn: Turn, thresholds: Thresholds) -> bool:
    """Whether the judge's reading decides: nobody needs to speak again."""
    if turn.probability is None or turn.mass is None:
        return False
    readings = Readings(observed=turn.probability, mass=turn.mass)
    return settle(readings, _plain(thresholds)).outcome != "undecided"


def join_orders(debates: Sequence[Debate], settings: DebateSettings, thresholds: Thresholds) -> Ruling:
    """One ruling for all debates of a motion: the mean of their log-odds, held against `accept` and `reject`.

    A debate that came to nothing leaves all undecided. Probabilities further apart than `max_order_gap` do too: then
    the order decides and not the picture. A refusal that means harm (`settings.refusal`) is not averaged away.
    """
    if len(debates) == 1:
        (debate,) = debates
        return Ruling(debate.outcome, debate.probability, debate.answer, debate.reason)
    if any(debate.outcome == "satisfied" and not debate.answer for debate in debates):
        return Ruling("satisfied", thresholds.accept)
    read = [debate.probability for debate in debates if debate.probability is not None]
    if len(read) < len(debates):
        reasons = dict.fromkeys(debate.reason for debate in debates if debate.probability is None)
        return Ruling("undecided", None, reason="; ".join(reasons))
    mean = sigmoid(fmean(logit(p) for p in read))
    if max(read) - min(read) > settings.max_order_gap:
        told = ", ".join(f"{p:.2f} with the {_first(debate)} first" for p, debate in zip(read, debates, strict=True))
        return Ruling("undecided", mean, reason=f"the order of speaking decides: P(Yes) is {told}")
    settled = none(mean, thresholds)
    said = [debate.answer for debate in debates if debate.outcome == settled.outcome]
    return Ruling(settled.outcome, mean, said[0] if said else "", settled.reason)


def _first(debate: Debate) -> str:
    return (debate.order or "").removesuffix("_first")


def _plain(thresholds: Thresholds) -> Thresholds:
    """Whatever the preset: behind a debate, a model no longer answers from the words of the statement alone."""
    return thresholds.model_copy(update={"preset": "none"})
