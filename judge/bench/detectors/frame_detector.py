"""What detectors that score single frames share: batches, animations, failures. Not here: any model.

A frame that fails is a failed prediction of its own: the batch is asked again one by one, and the rest stands.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from judge.bench.detectors.base import DetectorInfo, Prediction
from judge.bench.detectors.per_frame import abstained, failed, highest
from judge.bench.detectors.pictures import frames_of, why_not
from judge.errors import JudgeError
from judge.sources.categories import Category
from judge.types import Frame, Media, Usage


@dataclass(frozen=True, slots=True)
class PictureScore:
    """What a model said about one picture: numbers in [0, 1], rising with harm."""

    score: float
    categories: Mapping[Category, float] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)

    def is_sound(self) -> bool:
        """A NaN is in no range."""
        return all(0.0 <= each <= 1.0 for each in (self.score, *self.categories.values()))


class FrameDetector(ABC):
    """See `judge.bench.detectors.base.Detector`.

    Args:
        info: What it is; `info.threshold` decides.
        batch: Most pictures that are scored in one call.
        max_frames: Most frames of an animation that are looked at, evenly spread; the highest score counts.
    """

    def __init__(self, info: DetectorInfo, *, batch: int, max_frames: int) -> None:
        self._info = info
        self._batch = batch
        self._max_frames = max_frames

    @property
    def info(self) -> DetectorInfo:
        return self._info

    @abstractmethod
    async def score_frames(self, frames: Sequence[Frame]) -> list[PictureScore | Prediction]:
        """One per frame, in order; a prediction without a score where there is none. What it raises is a failure."""

    @abstractmethod
    async def close(self) -> None:
        """Free the memory; may be called twice."""

    async def detect(self, media: Sequence[Media]) -> list[Prediction]:
        started_s = time.perf_counter()
        found: dict[int, Prediction] = {}
        shown: list[tuple[int, Frame]] = []
        for place, each in enumerate(media):
            if reason := why_not(each):
                found[place] = abstained(reason)
                continue
            try:
                shown += [(place, frame) for frame in frames_of(each, self._max_frames)]
            except JudgeError as error:
                found[place] = failed(error)
        said: dict[int, list[Prediction]] = {place: [] for place, _ in shown}
        for start in range(0, len(shown), self._batch):
            part = shown[start : start + self._batch]
            for (place, _), score in zip(part, await self._try([frame for _, frame in part]), strict=True):
                said[place].append(self._decide(score))
        model_s = (time.perf_counter() - started_s) / max(len(said), 1)
        found |= {place: replace(highest(frames), model_s=model_s) for place, frames in said.items()}
        return [found[place] for place in range(len(media))]

    async def _try(self, frames: Sequence[Frame]) -> list[PictureScore | Prediction]:
        """Scores, and a failure for each frame that has none."""
        try:
            scores = await self.score_frames(frames)
        except Exception as error:
            if len(frames) == 1:
                return [failed(error)]
            return [(await self._try([frame]))[0] for frame in frames]
        assert len(scores) == len(frames)
        return [_no_number(each) if isinstance(each, PictureScore) and not each.is_sound() else each for each in scores]

    def _decide(self, score: PictureScore | Prediction) -> Prediction:
        if isinstance(score, Prediction):
            return score
        return Prediction(score.score, score.score >= self._info.threshold, score.categories, usage=score.usage)


def _no_number(score: PictureScore) -> Prediction:
    numbers = (score.score, *score.categories.values())
    shown = "no number" if any(not math.isfinite(each) for each in numbers) else f"{score.score:g}"
    reason = f"the model's answer is {shown}, not a probability"
    return Prediction(None, None, reason=reason, failed=True, usage=score.usage)
