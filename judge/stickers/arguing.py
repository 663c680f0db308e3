"""What the two sides and the judge of a debate say about a scene: training data, written from scene graphs.

The sides argue with what is visible and never with an untruth: a side that has nothing says so. Some of the turns that
others spoke before are written about another, similar scene, i.e. they are wrong; nobody learns to say those, but
whoever answers them, or judges behind them, learns to look for itself. Source of the protocol: VHD11K
(arXiv 2409.19734); the prompts are the engine's own (`judge.prompts.debate`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from judge.prompts.debate import DebateSpeaker, Subject, debate_prompt
from judge.stages.debate_stage import first_look
from judge.stickers.reasoning import Fact, facts, read_claims
from judge.stickers.scene import Scene
from judge.stickers.statements import Statement, Truth, within_sentence
from judge.types import Outcome

Side = Literal["affirmative", "negative"]
_MOST_REASONS = 3
_NOTHING: dict[Side, str] = {
    "affirmative": "Nothing that is visible speaks for it.",
    "negative": "Nothing that is visible speaks against it.",
}
_RIGHT, _WRONG = "That is right.", "That is wrong."
WRONG_TURNS = 0.3
"""Share of the earlier turns that are about another scene."""
_ORDERS: tuple[tuple[Side, Side], ...] = (("affirmative", "negative"), ("negative", "affirmative"))


@dataclass(frozen=True, slots=True)
class DebateTurn:
    """What the user turn says, and what is learned to be said."""

    text: str
    answer: str
    speaker: DebateSpeaker


def speech(scene: Scene, statement: Statement, side: Side, opponent: str = "") -> str:
    """A side's turn: whether what the opponent said last is so, then at most three facts that speak for the side.

    Facts of the same sort come most telling last in thought (is it there? does it touch?), so the last ones are kept.
    """
    wanted = side == "affirmative"
    own = [fact.text for fact in facts(scene, statement, all_parts=True) if fact.supports == wanted]
    said = own[-_MOST_REASONS:] or [_NOTHING[side]]
    answer = _answer(scene, opponent)
    return " ".join([*answer, *said])


def _answer(scene: Scene, opponent: str) -> list[str]:
    """Nothing, where the opponent claimed nothing that can be checked."""
    claims = read_claims(strip_answer(opponent)) if opponent else None
    if not claims:
        return []
    truth = Truth(scene)
    outcomes = {(truth.of(claim.atom) == "satisfied") == claim.affirmed for claim in claims}
    return [_RIGHT if outcomes == {True} else _WRONG]


def strip_answer(text: str) -> str:
    """A turn without what it says to the opponent."""
    for start in (_RIGHT, _WRONG):
        text = text.removeprefix(start).strip()
    return "" if text in _NOTHING.values() else text


def verdict(scene: Scene, statement: Statement, outcome: Outcome) -> str:
    """The judge's text: Yes or No, and the fact that decides."""
    holds = outcome == "satisfied"
    bearing: list[Fact] = [fact for fact in facts(scene, statement) if fact.supports == holds]
    word = "Yes" if holds else "No"
    if not bearing:
        return f"{word}."
    return f"{word}, {within_sentence(bearing[-1].text)}"


def draw_turn(
    scene: Scene,
    others: list[Scene],
    drawn: tuple[Statement, str, Outcome],
    rng: np.random.Generator,
) -> DebateTurn:
    """Some turn of a debate about a statement: a judge's in half of the draws, else a side's.

    Args:
        scene: What the picture shows.
        others: Similar scenes, which wrong turns are about.
        drawn: The statement, its wording, its truth.
        rng: Decides everything.
    """
    statement, sentence, outcome = drawn
    order = _ORDERS[rng.integers(2)]
    judged = bool(rng.random() < 0.5)
    count = 2 * int(rng.integers(1, 3)) if judged else int(rng.integers(0, 4))
    turns: list[tuple[DebateSpeaker, str]] = []
    for number in range(count):
        wrong = others and rng.random() < WRONG_TURNS
        about = others[rng.integers(len(others))] if wrong else scene
        side = order[number % 2]
        turns.append((side, speech(about, statement, side, turns[-1][1] if turns else "")))
    subject = Subject("precondition", (sentence,), evidence=_evidence(outcome, rng))
    if judged:
        prompt = debate_prompt(subject, "judge", turns, ())
        return DebateTurn(prompt.messages[0].text, verdict(scene, statement, outcome), "judge")
    side = order[count % 2]
    text = debate_prompt(subject, side, turns, ()).messages[0].text
    return DebateTurn(text, speech(scene, statement, side, turns[-1][1] if turns else ""), side)


def _evidence(outcome: Outcome, rng: np.random.Generator) -> str:
    """As unsure as what is debated: a bell around 60 % for what is true, around 40 % for what is not."""
    middle = 60 if outcome == "satisfied" else 40
    return first_look(float(np.clip(rng.normal(middle, 18), 1, 99)) / 100.0)
