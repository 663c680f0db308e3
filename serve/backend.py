"""What judges behind the routes: one `Work` per piece of media in, replies out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Protocol

from judge.config import StageChoice
from judge.constitution import Constitution
from judge.media.reference import InlineMedia, UrlMedia
from judge.types import ScoreRow


@dataclass(frozen=True, slots=True)
class Work:
    """One piece of media to judge; the caller was authorised before.

    Attributes:
        media: The bytes, or an allowed URL; None = the text alone.
        text: What was posted with the media.
        constitution: The policy itself, so that a change of names meanwhile changes nothing.
        stages: Laid over the service's settings.
        refine: Reply after every stage that added something; else with the last verdict only.
        deadline_s: Seconds from now for all of it; None = no limit.
        deadline_chosen: It is the caller's own budget, whose end is an answer and no failure.
        completion_tokens: Written tokens beyond which no further slow stage begins; None = no limit.
    """

    media: InlineMedia | UrlMedia | None
    name: str
    constitution: Constitution
    stages: StageChoice = field(default_factory=StageChoice)
    text: str = ""
    refine: bool = False
    deadline_s: float | None = None
    deadline_chosen: bool = False
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A verdict, or why the media has none; `final` = nothing more comes."""

    row: ScoreRow
    final: bool = True
    cached: bool = False


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model that the service asks.

    Attributes:
        role: `judge`, or its name in the panel.
        domain: What it was made for; empty = no stated limits.
    """

    name: str
    role: str
    digest: str
    runtime: str
    domain: str
    capabilities: tuple[str, ...]


class Backend(Protocol):
    """Judges media.

    Contract:
    - `judge` replies at least once, and the last reply is final. Media that cannot be read is a reply with an error.
    - After the deadline the best verdict so far is final, with a notice; if there is none, `DeadlineExceeded`.
    - `EngineError` if the model cannot answer: never a verdict that rests on a failure of the engine alone.
    - `Overloaded` if there is no room, before anything is done.
    - Cancelling the iteration ends the work on it.
    """

    def judge(self, work: Work) -> AsyncGenerator[Reply, None]: ...

    async def models(self) -> tuple[ModelCard, ...]:
        """Raises `EngineError` if one does not answer."""

    async def check(self) -> None:
        """Ask every model something small. Raises `EngineError` if one does not answer."""

    async def close(self) -> None: ...
