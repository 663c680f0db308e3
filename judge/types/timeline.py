"""When: readings along a video, and the moments that follow from them."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from judge.types.names import Probability, RuleOutcome, Wire


class Timeline(Wire):
    """One rule along a video. All columns have an entry per frame, in order: judged ones, and those that look alike."""

    rule_id: str
    """Id in the constitution."""
    timestamps_ms: tuple[int, ...]
    """Of the frames, ascending."""
    scores: tuple[Probability, ...]
    """The rule's score on each frame, as it was read."""
    smoothed: tuple[Probability, ...]
    """The same after temporal smoothing."""
    outcomes: tuple[RuleOutcome, ...]
    """The rule's outcome on each frame by itself."""

    @model_validator(mode="after")
    def _columns(self) -> Self:
        if len({len(self.timestamps_ms), len(self.scores), len(self.smoothed), len(self.outcomes)}) != 1:
            raise ValueError("timestamps_ms, scores, smoothed and outcomes must have the same length")
        return self


class Segment(Wire):
    """A stretch of a video in which a rule is violated."""

    rule_id: str
    """Id in the constitution."""
    category: str
    """The rule's category."""
    start_ms: int
    """Where it begins: halfway to the last judged frame before it."""
    end_ms: int
    """Where it ends: halfway to the first judged frame after it."""
    peak_ms: int
    """The frame with the highest score."""
    peak_probability: Probability
    """Its score."""
    evidence_ms: tuple[int, ...]
    """The judged frames in it that are violated by themselves, in order."""
    source: str = "frames"
    """`frames`, or `clip` where one question about several frames found it."""
