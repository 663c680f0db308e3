"""A detector whose answers are written down, for tests of what is built of detectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from judge.bench.detectors.base import DetectorInfo, Prediction
from judge.types import Media


@dataclass
class FixedDetector:
    """Says one thing after the other of every batch."""

    answers: Sequence[Prediction]
    threshold: float = 0.5
    name: str = "fixed"
    closed: int = 0
    info: DetectorInfo = field(init=False)

    def __post_init__(self) -> None:
        self.info = DetectorInfo(
            self.name, f"{self.name}-{self.threshold}", frozenset({"image"}), frozenset({"sexual"}), self.threshold
        )

    async def detect(self, media: Sequence[Media]) -> list[Prediction]:
        return list(self.answers[: len(media)])

    async def close(self) -> None:
        self.closed += 1
