"""The relevance scan: rules that an image-text encoder finds far from a frame are not asked about it.

A rule is as near as the nearest of the statements it rests on: encoders of the CLIP kind hardly read negation, and
the statements are positive where rules are not. Rules of high severity are never dropped.
Source: CLUE (arXiv 2501.00192), section 3.2, which compares whole rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from judge.config import RelevanceSettings
from judge.constitution import Constitution, Rule, names
from judge.engines.base import Embedder
from judge.types import Evidence, Frame

if TYPE_CHECKING:
    from numpy.typing import NDArray


class RelevanceScan:
    """The scan, bound to one encoder and one constitution; statements are encoded once."""

    def __init__(self, embedder: Embedder, constitution: Constitution, settings: RelevanceSettings) -> None:
        self._embedder = embedder
        self._constitution = constitution
        self._settings = settings
        self._statements = {each.id: row for row, each in enumerate(constitution.preconditions)}
        self._texts: NDArray[np.float32] | None = None

    @property
    def model_digest(self) -> str:
        return self._embedder.info.digest

    async def scan(self, frames: Sequence[Frame], rules: Sequence[Sequence[Rule]]) -> list[Mapping[str, Evidence]]:
        """Per frame, the evidence against each of its rules that is not relevant, by rule id.

        Raises:
            EngineError: The encoder failed; the caller then asks everything.
        """
        similarities = await self.similarities(frames)
        return [
            {
                rule.id: self._evidence(rule, frame, nearest)
                for rule in asked
                if drops(self._settings, rule, nearest := self.nearest(rule, row))
            }
            for frame, asked, row in zip(frames, rules, similarities, strict=True)
        ]

    async def similarities(self, frames: Sequence[Frame]) -> NDArray[np.float32]:
        """`(frames, preconditions)`: cosines, the columns in the constitution's order."""
        if self._texts is None:
            self._texts = await self._embedder.embed_texts(
                [each.statement for each in self._constitution.preconditions]
            )
        if not frames:
            return np.zeros((0, len(self._statements)), dtype=np.float32)
        found: NDArray[np.float32] = await self._embedder.embed_frames(frames) @ self._texts.T
        return found

    def nearest(self, rule: Rule, similarities: NDArray[np.float32]) -> float:
        """Of a frame's row: the similarity of the nearest statement of the rule."""
        expression = self._constitution.expression(rule.id)
        return float(max(similarities[self._statements[name]] for name in names(expression)))

    def _evidence(self, rule: Rule, frame: Frame, nearest: float) -> Evidence:
        return Evidence(
            stage="relevance",
            precondition_id=rule.id,
            statement=rule.statement,
            outcome="rejected",
            probability=0.0,
            rationale=f"similarity {nearest:.3f} is under {self._settings.threshold:.3f}",
            frame_indices=(frame.index,),
        )


def drops(settings: RelevanceSettings, rule: Rule, nearest: float) -> bool:
    """Whether a rule this near to a frame is not asked about it."""
    return nearest < settings.threshold and may_drop(settings, rule)


def may_drop(settings: RelevanceSettings, rule: Rule) -> bool:
    """Whether the scan decides about this rule at all."""
    return rule.severity not in settings.always_ask
