"""Why a rule was left open, as one of a few words: `RuleDecision.reason` is a sentence with numbers in it."""

from __future__ import annotations

from typing import Literal

from judge.pipeline import FAILURES

Reason = Literal["engine", "video", "domain", "low_mass", "limit", "missing_reference", "not_asked", "undecided"]
_WORDS: tuple[tuple[str, Reason], ...] = (
    (FAILURES[0], "engine"),
    (FAILURES[1], "video"),
    ("domain (", "domain"),
    ("of its probability on Yes and No", "low_mass"),
    ("for one media is reached", "limit"),
    ("is missing", "missing_reference"),
    ("not asked", "not_asked"),
)
"""What comes first wins: a failure explains more than the doubt that it left."""


def why_abstained(reason: str) -> Reason:
    """`undecided` = the model was asked, answered, and the answer lies between the bounds."""
    return next((kind for words, kind in _WORDS if words in reason), "undecided")
