"""What was said in a debate or a vote, kept as evidence."""

from __future__ import annotations

from typing import Literal

from judge.types.names import Outcome, Probability, Wire

Speaker = Literal["affirmative", "negative", "judge", "critic", "voter"]
DebateOrder = Literal["affirmative_first", "negative_first"]


class Turn(Wire):
    """One turn."""

    speaker: Speaker
    """Who speaks."""
    round: int
    """From 1 on; the judge reads at the end of each round. For a voter: its number."""
    text: str = ""
    """What was said; empty for a reading that came without words."""
    probability: Probability | None = None
    """A judge's or voter's P(Yes) at this point; None for everybody else, and where it could not be read."""
    mass: Probability | None = None
    """Label mass of that reading."""
    refused: bool = False
    """The model would not speak: an empty or withheld text, or one of the known refusals."""
    cut_off: bool = False
    """The text reached its limit of tokens."""
    model: str = ""
    """Who played the role, if it was not the judge's own engine."""


class Debate(Wire):
    """One debate, or one vote (then all turns are by voters)."""

    subject: str
    """The statement that was argued."""
    order: DebateOrder | None = None
    """Who spoke first; None for a vote."""
    turns: tuple[Turn, ...]
    """In the order in which they were spoken."""
    probability: Probability | None = None
    """What it came to; None if there was no reading at the end, or none to rely on: then see `reason`. A refusal that
    was taken for harm stands at the bound from which a Yes is accepted."""
    outcome: Outcome
    """What follows."""
    answer: str = ""
    """The judge's text, `Yes, <category>.` or `No, <reason>.`; empty if it gave none that can be read."""
    reason: str = ""
    """Why it is undecided; empty otherwise."""
    completion_tokens: int = 0
    """Tokens written, all roles together."""
    prompt_tokens: int = 0
    """Tokens read, all roles together."""
