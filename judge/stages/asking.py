"""Puts the one-token questions about frames to the engine and notes the answers on the boards.

Not here: how a question is asked and read (`token_probability`), what is asked next (`board`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from judge.config import JudgeConfig
from judge.engines.base import Engine
from judge.errors import EngineError
from judge.stages.board import ENGINE_FAILED, Decider, FrameBoard, MediaBoard
from judge.stages.relevance import RelevanceScan
from judge.stages.token_probability import FrameQuestions, TokenProbability
from judge.types import Evidence

_LOG = logging.getLogger(__name__)
DOMAIN_ID = "(domain)"
"""Id of the question whether a frame is in the model's domain; no precondition can have it."""

ToAsk = Sequence[tuple[MediaBoard, Sequence[FrameBoard]]]
"""Media, and which of their frames are asked about."""


class Asker:
    """Asks about frames: every precondition that their rules rest on, and whether they are in the model's domain."""

    def __init__(
        self,
        engine: Engine,
        fast: TokenProbability,
        decider: Decider,
        config: JudgeConfig,
        scan: RelevanceScan | None = None,
    ) -> None:
        self._engine = engine
        self._fast = fast
        self._decider = decider
        self._config = config
        self._scan = scan

    async def scan(self, batch: ToAsk) -> None:
        """Drops rules that have nothing to do with a frame. A scan that fails drops nothing."""
        # What was posted with a picture may matter to rules that the picture alone has nothing to do with.
        frames = [(board, frame) for board, of_media in batch if not board.media.text for frame in of_media]
        if self._scan is None or not frames:
            return
        try:
            found = await self._scan.scan([frame.frame for _, frame in frames], [b.frame_rules for b, _ in frames])
        except EngineError as error:
            _LOG.warning("the relevance scan failed, so every rule is asked: %s", error)
            return
        for (_, frame), dropped in zip(frames, found, strict=True):
            frame.irrelevant = dropped

    async def ask(self, batch: ToAsk) -> None:
        """All media in one call; if that fails, one by one, so that only those that fail alone stay unanswered."""
        try:
            await self._ask_together(batch)
        except EngineError as error:
            if len(batch) == 1:
                batch[0][0].failure = f"{ENGINE_FAILED}: {error}"
                return
            for each in batch:
                await self.ask([each])

    async def _ask_together(self, batch: ToAsk) -> None:
        questions = [self._questions(board, frame) for board, frames in batch for frame in frames]
        answers = iter(await self._fast.ask(questions))
        for board, frames in batch:
            for frame, answer in zip(frames, answers, strict=False):
                frame.evidence = {id: (found,) for id, found in answer.evidence.items()}
                frame.whole = answer.whole
                frame.outside = self._outside_domain(answer.evidence)
                board.usage += answer.usage

    def _questions(self, board: MediaBoard, frame: FrameBoard) -> FrameQuestions:
        rules = tuple(rule for rule in board.frame_rules if rule.id not in frame.irrelevant)
        needed = self._decider.needed(rules)
        domain = self._engine.info.domain
        statements = {DOMAIN_ID: domain.statement} if domain and board.rules else {}
        if board.media.kind == "text":
            return FrameQuestions(None, needed, text=board.media.text)
        whole = {rule.id: rule.statement for rule in rules} if self._config.cascade.holistic_weight else {}
        return FrameQuestions(frame.frame, statements | needed, whole, board.media.text)

    def _outside_domain(self, evidence: Mapping[str, Evidence]) -> str:
        """Why a frame cannot be judged by this model; empty if it can."""
        domain = self._engine.info.domain
        if domain is None or DOMAIN_ID not in evidence:
            return ""
        readings = evidence[DOMAIN_ID].readings
        if readings is None or readings.mass < self._config.thresholds.min_mass:
            return f"the model did not say whether this is in its domain ({domain.description}); {domain.hint}"
        if readings.observed < domain.min_probability:
            return f"outside the model's domain ({domain.description}); {domain.hint}"
        return ""
