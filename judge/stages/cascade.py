"""Puts open questions to a slow stage, round after round, within its limits; what fails spoils nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from judge.stages.board import ENGINE_FAILED, Decider, MediaBoard
from judge.stages.escalation import OpenQuestion, Settlement, SlowStage
from judge.stages.retry import Unanswered, ask_each
from judge.types import Usage


@dataclass(slots=True)
class _Progress:
    """What one piece of media has had of this stage."""

    board: MediaBoard
    asked: set[tuple[int, str]] = field(default_factory=set)
    usage: Usage = field(default_factory=Usage)

    def record(self, question: OpenQuestion, answer: Settlement | Unanswered, stage: str) -> None:
        """Put the answer on the board; a failure becomes one more reason why the question is open."""
        self.asked.add((question.key, question.precondition.id))
        if isinstance(answer, Unanswered):
            self.leave(question, f"{ENGINE_FAILED} in {stage}: {answer}")
            return
        self.usage += answer.usage
        self.board.usage += answer.usage
        self.board.view(question.key).add(answer.evidence)

    def leave(self, question: OpenQuestion, reason: str) -> None:
        """Not asked, or not answered: the question stays as it was, and says why."""
        self.asked.add((question.key, question.precondition.id))
        self.board.view(question.key).explain(question.precondition.id, reason)


async def escalate(stage: SlowStage, boards: Sequence[MediaBoard], decider: Decider) -> None:
    """Ask until nothing is open or the limits are reached; the boards get the evidence and the usage.

    All media share each round's call, and no question is asked twice.
    """
    progress = [_Progress(board) for board in boards]
    while True:
        batch = [(each, question) for each in progress for question in _next(stage, each, decider)]
        if not batch:
            return
        answers = await ask_each(stage.settle, [question for _, question in batch])
        for (each, question), answer in zip(batch, answers, strict=True):
            each.record(question, answer, stage.name)


def _next(stage: SlowStage, progress: _Progress, decider: Decider) -> list[OpenQuestion]:
    """The questions of the next round; those beyond the limits are left, with the reason."""
    questions = decider.open_questions(
        progress.board,
        progress.asked,
        one_per_rule=stage.one_at_a_time,
        satisfied=stage.tests_satisfied,
        clips=stage.takes_clips,
    )
    most, tokens = stage.limits.questions, stage.limits.completion_tokens
    room = len(questions) if most is None else max(0, most - len(progress.asked))
    if tokens is not None and progress.usage.completion_tokens >= tokens:
        room = 0
    for question in questions[room:]:
        progress.leave(question, f"the limit of {stage.name} for one media is reached")
    return questions[:room]
