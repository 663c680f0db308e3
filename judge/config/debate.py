"""The slowest stages: independent votes, and a debate where they split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from judge.config.base import Fraction, Settings

Temperature = Annotated[float, Field(ge=0.0, le=2.0)]
RefusalPolicy = Literal["abstain", "harmful"]
"""What a refusal means: nothing (ours), or that the media is harmful (VHD11K's reading)."""
DebateRole = Literal["affirmative", "negative", "judge", "critic"]


class VoteSettings(Settings):
    """Independent judgements of one question: each reasons for itself, and then answers Yes or No."""

    enabled: bool = False
    """Whether to vote at all."""
    voters: Annotated[int, Field(ge=2, le=64)] = 5
    """Judgements per question. A debate of two rounds costs about five texts."""
    temperature: Temperature = 0.5
    """0 would make all voters one."""
    max_tokens: Annotated[int, Field(ge=1)] = 256
    """Longest reasoning of one voter."""
    min_agreement: Annotated[float, Field(gt=0.5, le=1.0)] = 0.8
    """Share of the voters that must say the same; less is a split, and leaves the question open."""
    max_questions: Annotated[int, Field(ge=1)] = 8
    """Most questions voted on per media."""
    token_budget: Annotated[int, Field(ge=1)] = 8192
    """Tokens written per media, after which no further question is voted on."""


class DebateSettings(Settings):
    """Two sides argue, a judge reads. Source of the defaults: VHD11K (arXiv 2409.19734)."""

    enabled: bool = False
    """Whether to debate at all."""
    subject: Literal["precondition", "rule", "policy"] = "precondition"
    """What is debated: an open precondition; a rule that is still open; or whether the media is harmful under the whole
    constitution (VHD11K's way)."""
    rounds: Annotated[int, Field(ge=1, le=8)] = 2
    """Turns of each side, at most: the debate ends as soon as the judge is sure."""
    orders: Literal["affirmative_first", "negative_first", "both"] = "affirmative_first"
    """Who speaks first. `both` holds two debates and averages their log-odds: whoever speaks last has an advantage."""
    max_order_gap: Fraction = 0.5
    """`both`: probabilities further apart than this leave the question open: the order decided, not the picture."""
    temperature: Temperature = 0.5
    """Of every text."""
    turn_tokens: Annotated[int, Field(ge=1)] = 500
    """Longest turn of a debater."""
    judge_tokens: Annotated[int, Field(ge=1)] = 100
    """Longest text of the judge."""
    critic: bool = False
    """A fourth role analyses the decision; it changes nothing."""
    critic_tokens: Annotated[int, Field(ge=1)] = 500
    """Longest text of the critic."""
    refusal: RefusalPolicy = "abstain"
    """What a refusal of the judge, or a text of it that cannot be read, means. `harmful` holds for rules and policies
    only: that a precondition is true need not make media harmful, so that there a refusal leaves it open."""
    examples_for: Literal["nobody", "judge", "everybody"] = "judge"
    """Who sees the constitution's in-context examples."""
    max_examples: Annotated[int, Field(ge=0)] = 14
    """In-context examples shown at once."""
    panel: Mapping[DebateRole, str] = Field(default_factory=dict)
    """Role -> name of a model in `JudgeConfig.panel`; roles left out are played by the engine itself."""
    max_questions: Annotated[int, Field(ge=1)] = 4
    """Most debates per media."""
    token_budget: Annotated[int, Field(ge=1)] = 16384
    """Tokens written per media; a debate that reaches it stops, and its question stays open."""
    time_budget_s: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None
    """Seconds for the debates that are held together; those not finished then leave their questions open. None = none.
    With a limit, the same input may get another verdict on another day."""
