"""The vote beside a debate: more than half of all voters decide."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from judge.bench.policy_vote import hold_votes, voters
from judge.config import DebateSettings, RefusalPolicy
from judge.engines.scripted import ScriptedEngine
from judge.errors import EngineError
from judge.prompts.debate import Subject
from judge.stages.cast import Cast, Motion
from judge.types import Debate, Frame, Outcome

MOTION = Motion(Subject("policy", ("A gun is aimed.",)), (Frame(0, 0.0, np.zeros((2, 2, 3), np.uint8)),))
SORRY = "I'm sorry, but I can't assist with that request."


def vote(texts: list[str], refusal: RefusalPolicy = "abstain") -> Debate:
    said = iter(texts)
    engine = ScriptedEngine(default_generation=lambda _: next(said))
    settings = DebateSettings(rounds=2, refusal=refusal)
    (found,) = asyncio.run(hold_votes(Cast(engine), [MOTION], settings))
    return found


@pytest.mark.parametrize(
    ("texts", "refusal", "outcome", "probability", "answer"),
    [
        (["No, x.", "Yes, a.", "Yes, b.", "No.", "Yes, c."], "abstain", "satisfied", 0.6, "Yes, a."),
        (["No, x.", "Yes, a.", "No.", "No.", "Yes, c."], "abstain", "rejected", 0.4, "No, x."),
        (["Yes.", "Yes.", SORRY, "Perhaps.", "No."], "abstain", "undecided", 2 / 3, ""),
        (["Yes.", "No.", SORRY, "Perhaps.", "No."], "harmful", "satisfied", 0.6, "Yes."),
        ([SORRY] * 5, "abstain", "undecided", None, ""),
        ([SORRY] * 5, "harmful", "satisfied", 1.0, ""),
    ],
)
def test_a_majority_of_all_voters_decides(
    texts: list[str], refusal: RefusalPolicy, outcome: Outcome, probability: float | None, answer: str
) -> None:
    found = vote(texts, refusal)
    assert (found.outcome, found.answer) == (outcome, answer)
    assert found.probability == (None if probability is None else pytest.approx(probability))
    assert [turn.refused for turn in found.turns] == [text == SORRY for text in texts]


def test_why_a_vote_is_open_is_told() -> None:
    assert vote(["Yes.", "Yes.", SORRY, "Perhaps.", "No."]).reason == "2 of 5 voted Yes, 1 No"


def test_a_failed_vote_is_no_vote() -> None:
    engine = ScriptedEngine(default_generation=EngineError("gone"))
    (found,) = asyncio.run(hold_votes(Cast(engine), [MOTION], DebateSettings()))
    assert (found.outcome, found.probability) == ("undecided", None)
    assert found.reason == "the engine failed in the vote: gone"


def test_there_are_as_many_voters_as_a_debate_has_texts() -> None:
    one, two = DebateSettings(rounds=1), DebateSettings(rounds=2)
    both = DebateSettings(rounds=2, orders="both")
    assert [voters(each) for each in (one, two, both)] == [3, 5, 10]
