"""What there is to say of a debate or a vote, in the terminal as on a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from judge.types import Debate, Turn


@dataclass(frozen=True, slots=True)
class Tally:
    """How the voters of one vote answered."""

    yes: int
    no: int
    neither: int

    def __str__(self) -> str:
        return f"{self.yes} Yes, {self.no} No" + (f", {self.neither} without an answer" if self.neither else "")


def is_vote(debate: Debate) -> bool:
    """Whether nobody but voters spoke."""
    return debate.order is None and all(turn.speaker == "voter" for turn in debate.turns)


def title(debate: Debate) -> str:
    """What was held, and what came of it."""
    held = "vote" if is_vote(debate) else "debate"
    order = f", {debate.order.replace('_', ' ')}" if debate.order else ""
    came = "no reading at the end" if debate.probability is None else f"P(Yes) {debate.probability:.2f}"
    return f"{held}{order}: {debate.outcome}, {came}"


def cost(debate: Debate) -> str:
    """Tokens written and read."""
    return f"{debate.completion_tokens:,} tokens written, {debate.prompt_tokens:,} read"


def rounds(debate: Debate) -> list[tuple[int, tuple[Turn, ...]]]:
    """Number and turns of each round, in the order in which they were spoken."""
    return [(number, tuple(turns)) for number, turns in groupby(debate.turns, key=lambda turn: turn.round)]


def tally(debate: Debate) -> Tally:
    """Counts the turns of voters; one who gave no reading, or exactly one half, has not answered."""
    answers = [answer(turn) for turn in debate.turns if turn.speaker == "voter"]
    yes, no = answers.count("Yes"), answers.count("No")
    return Tally(yes, no, len(answers) - yes - no)


def answer(turn: Turn) -> str:
    """`Yes` or `No`; empty where there is neither."""
    if turn.probability is None or turn.probability == 0.5:
        return ""
    return "Yes" if turn.probability > 0.5 else "No"


def reads(turn: Turn) -> bool:
    """Whether this speaker is one whose probability is read."""
    return turn.speaker in ("judge", "voter")


def reading(turn: Turn) -> str:
    """The probability that was read after the turn; empty for those who only speak."""
    if not reads(turn):
        return ""
    if turn.probability is None:
        return "no reading"
    mass = "" if turn.mass is None else f", label mass {turn.mass:.2f}"
    return f"P(Yes) {turn.probability:.2f}{mass}"


def remarks(turn: Turn) -> tuple[str, ...]:
    """What the reader must know of a turn beside its text."""
    found = ("refused" if turn.refused else "", "cut off at its limit of tokens" if turn.cut_off else "")
    return tuple(each for each in found if each)


def dissent(debates: Sequence[Debate]) -> str:
    """Whether it mattered who spoke first; empty if only one order was heard."""
    heard = {debate.order: debate for debate in debates if debate.order}
    if len(heard) < 2:
        return ""
    first, second = (heard[order].probability for order in sorted(heard))
    if first is None or second is None:
        return "the speaking orders cannot be compared: one has no reading"
    differs = (first > 0.5) != (second > 0.5) or len({debate.outcome for debate in heard.values()}) > 1
    verb = "disagree" if differs else "agree"
    return f"the speaking orders {verb}: {first:.2f} affirmative first, {second:.2f} negative first"
