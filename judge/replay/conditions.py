"""Under what a stored verdict is decided again."""

from __future__ import annotations

from dataclasses import dataclass

from judge.config import Thresholds
from judge.constitution import Constitution


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what to replay.

    Attributes:
        constitution: The new one.
        templates: Digests of the prompt templates in use; evidence asked with others does not count.
        thresholds: Settle the readings anew with these; None = keep what was settled.
        made_under: The constitution of the verdict, if it is at hand: tells more of rules that were not asked.
    """

    constitution: Constitution
    templates: frozenset[str]
    thresholds: Thresholds | None = None
    made_under: Constitution | None = None
