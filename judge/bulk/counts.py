"""What a run has come to so far: for the progress bar, for budgets, and for the last line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from judge.bulk.row import LabelRow
from judge.types import DecisionLabel


@dataclass
class Counts:
    """Of rows. Tokens are of the rows judged in this run only.

    Attributes:
        judged: Rows with a verdict of their own; the rest are duplicates and errors.
    """

    rows: int = 0
    judged: int = 0
    duplicates: int = 0
    errors: int = 0
    escalated: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    decisions: Counter[DecisionLabel] = field(default_factory=Counter)

    def add(self, rows: Iterable[LabelRow]) -> None:
        for row in rows:
            self.rows += 1
            self.decisions[row.decision] += 1
            self.errors += row.failed
            self.duplicates += row.duplicate_of is not None
            self.judged += bool(row.verdict) and row.duplicate_of is None
            self.escalated += row.escalated and row.duplicate_of is None
            self.prompt_tokens += row.prompt_tokens
            self.completion_tokens += row.completion_tokens

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def escalation_rate(self) -> float:
        """Share of the judged rows that a slow stage looked at."""
        return self.escalated / self.judged if self.judged else 0.0

    def as_json(self) -> dict[str, int]:
        decisions = {each: self.decisions[each] for each in ("unsafe", "safe", "uncertain")}
        return {
            "rows": self.rows, **decisions, "judged": self.judged, "duplicates": self.duplicates,
            "errors": self.errors, "escalated": self.escalated, "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }  # fmt: skip
