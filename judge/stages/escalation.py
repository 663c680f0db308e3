"""What the slow stages have in common: the questions that are put to them, and what they answer.

Not here: which questions are worth a slow stage (`judge.stages.board`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from judge.constitution import Precondition
from judge.media.views import crop
from judge.types import Evidence, Frame, Media, Usage


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """A precondition that a frame, or a piece of video, left open, with the evidence so far.

    Attributes:
        media: What the frame is of, if known.
        clip: The piece's frames, in order, of which `frame` is the middle one; empty for a single frame.
    """

    frame: Frame
    precondition: Precondition
    evidence: Evidence
    media: Media | None = None
    clip: tuple[Frame, ...] = ()

    @property
    def key(self) -> int:
        """As `FrameBoard.key`."""
        return -1 - self.clip[0].index if self.clip else self.frame.index

    @property
    def text(self) -> str:
        """What was posted with the media."""
        return self.media.text if self.media else ""

    @property
    def frames(self) -> tuple[Frame, ...]:
        """What a prompt about it shows: the piece, or the frame as `view` has it."""
        return self.clip or (view(self),)


def view(question: OpenQuestion) -> Frame:
    """The frame; where the region in question is a speck of it and was asked about alone, that region, enlarged."""
    readings = question.evidence.readings
    if readings is not None and "crop" in readings.references and question.evidence.regions:
        return crop(question.frame, question.evidence.regions[0])
    return question.frame


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a stage found. `evidence` is the question's own where the stage has nothing to add."""

    evidence: Evidence
    usage: Usage


@dataclass(frozen=True, slots=True)
class Limits:
    """What a stage may spend on one piece of media; None = no limit."""

    questions: int | None = None
    completion_tokens: int | None = None


class SlowStage(Protocol):
    """A stage of the cascade behind the one-token questions.

    Contract: one settlement per question, in order; evidence keeps the readings of the stages before, and adds to
    them. What the engine cannot answer raises `EngineError` or `AnswerError` for the whole batch, and the caller asks
    one by one.
    """

    @property
    def name(self) -> str:
        """For messages: `chain of thought`."""

    @property
    def model_digest(self) -> str:
        """Of a model that the stage has beside the engine's; empty if it has none."""

    @property
    def limits(self) -> Limits: ...

    @property
    def one_at_a_time(self) -> bool:
        """Whether a rule's next question waits for the answer to the one before, which may make it needless."""

    @property
    def tests_satisfied(self) -> bool:
        """Whether it also wants the satisfied preconditions that a violated rule rests on."""

    @property
    def takes_clips(self) -> bool:
        """Whether it also takes questions about pieces of video."""

    async def settle(self, questions: Sequence[OpenQuestion]) -> list[Settlement]: ...
