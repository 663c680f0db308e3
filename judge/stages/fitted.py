"""Fitted thresholds on the boards of a judge: what they settle after each stage, and what they say in the verdict.

Not here: which score settles what (`judge.guarantee`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from judge.config import Calibrated, MadeWith
from judge.decide import Decision, decide
from judge.guarantee import check_made_with, mapped, promise_in_words, settle, why_unsettled, with_maps
from judge.stages.board import Decider, MediaBoard
from judge.types import Media, RuleDecision

NO_GUARANTEE = "thresholds are presets, not fitted to labelled data: no error rate is guaranteed"
NOT_COVERED = "the fitted thresholds are not about such media: the rules decide, and no error rate is guaranteed"


@dataclass(frozen=True, slots=True)
class Decided:
    """What a verdict says of one media; `calibrated_score` is None without a map, or where the score is no good."""

    decision: Decision
    rules: tuple[RuleDecision, ...]
    calibrated_score: float | None


class FittedThresholds:
    """Of one judge.

    Args:
        calibrated: None = there are none, and the rules decide.
        decider: The judge's.
    """

    def __init__(self, calibrated: Calibrated | None, decider: Decider) -> None:
        self._calibrated = calibrated
        self._decider = decider

    def check(self, made_with: MadeWith, stages: Sequence[str]) -> None:
        """Raises `CalibrationError` if they were fitted with something else."""
        if self._calibrated is not None:
            check_made_with(self._calibrated, made_with, stages)

    def settle(self, boards: Sequence[MediaBoard], stage: str) -> None:
        """Let them settle what this stage has made sure of."""
        for board in boards:
            calibrated = self._about(board.media)
            if calibrated is None or board.guarantee is not None:
                continue
            score = self.score(board)
            board.guarantee = settle(calibrated, stage, score) if score is not None else None

    def score(self, board: MediaBoard) -> float | None:
        """The verdict's score; None where it cannot be relied on."""
        return decide([self._decider.rule(rule, board) for rule in board.rules]).score if board.is_sound else None

    def decide(self, board: MediaBoard, rules: tuple[RuleDecision, ...]) -> Decided:
        """What the rules decide, and what the thresholds make of it."""
        decision, calibrated = decide(rules), self._about(board.media)
        if calibrated is None:
            return Decided(decision, rules, None)
        decision = _as_settled(decision, board, calibrated)
        score = mapped(calibrated.score_map, decision.score) if board.is_sound else None
        return Decided(decision, with_maps(rules, calibrated), score)

    def promise(self, media: Media) -> str:
        """The first notice of every verdict."""
        if self._calibrated is None:
            return NO_GUARANTEE
        calibrated = self._about(media)
        return NOT_COVERED if calibrated is None else promise_in_words(calibrated)

    def digest(self, media: Media) -> str:
        """Empty where the rules decide."""
        calibrated = self._about(media)
        return "" if calibrated is None else calibrated.digest

    def _about(self, media: Media) -> Calibrated | None:
        """None where they are not about such media."""
        found = self._calibrated
        return found if found is not None and media.kind in found.kinds and not media.text else None


def _as_settled(decision: Decision, board: MediaBoard, calibrated: Calibrated) -> Decision:
    """What fitted thresholds make of it; why the score could not be relied on, if it could not, stays the reason."""
    if board.guarantee is not None:
        side = board.guarantee.side
        return replace(decision, label=side, flagged=side == "unsafe", reason="")
    reason = why_unsettled(calibrated, decision.score) if board.is_sound else decision.reason
    return replace(decision, label="uncertain", flagged=None, reason=reason or "a question has no answer")
