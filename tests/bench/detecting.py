"""Detectors for tests: the judge with the embedded model, its baseline, and ones that read a number from pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from judge.assets import constitution_path
from judge.bench.detectors.base import DetectorInfo, Prediction
from judge.config import EngineConfig, JudgeConfig, Thresholds
from judge.constitution import Constitution, load_constitution
from judge.engines.base import Engine
from judge.engines.build import build_engine
from judge.media import FileMedia
from judge.pipeline import Judge
from judge.sources.categories import Category
from judge.sources.sample import Sample
from judge.stages.direct import policy_direct
from judge.types import Media, Modality

PICTURES: frozenset[Modality] = frozenset({"image"})
EVERYTHING: frozenset[Modality] = frozenset({"image", "video", "text"})


@cache
def engine() -> Engine:
    return build_engine(EngineConfig())


@cache
def policy() -> Constitution:
    return load_constitution(constitution_path("stickers"))


class JudgeDetector:
    """The cascade, as it judges."""

    info = DetectorInfo("stickers judge", "judge-1", frozenset({"image", "video"}), None, 0.5)

    async def detect(self, media: Sequence[Media]) -> list[Prediction]:
        judge = Judge(engine(), policy(), JudgeConfig(cache=False))
        verdicts = await judge.judge(media)
        return [
            Prediction(each.score, each.flagged, reason=each.reason, usage=each.usage, model_s=0.01)
            for each in verdicts
        ]

    async def close(self) -> None: ...


class DirectDetector:
    """The whole policy in one question."""

    info = DetectorInfo("policy, asked at once", "direct-1", PICTURES, None, 0.5)

    async def detect(self, media: Sequence[Media]) -> list[Prediction]:
        thresholds = Thresholds(preset="none", accept=0.5, reject=0.5)
        found = []
        for each in media:
            (evidence,) = await policy_direct(engine(), policy().rules, each.frames, thresholds)
            found.append(Prediction(evidence.probability, evidence.probability >= 0.5, model_s=0.002))
        return found

    async def close(self) -> None: ...


def redness(media: Media) -> float:
    """Mean red, from 0 to 1: for sets of plain red pictures."""
    return float(media.frames[0].image[..., 0].mean()) / 255.0


@dataclass
class PixelDetector:
    """Flags media by a number read from it; counts what it was shown."""

    name: str = "red"
    read: Callable[[Media], float] = redness
    modalities: frozenset[Modality] = PICTURES
    categories: frozenset[Category] | None = None
    digest: str = "pixels-1"
    seen: list[Media] = field(default_factory=list)
    calls: list[int] = field(default_factory=list)

    @property
    def info(self) -> DetectorInfo:
        return DetectorInfo(self.name, self.digest, self.modalities, self.categories, 0.5)

    async def detect(self, media: Sequence[Media]) -> list[Prediction]:
        self.seen += media
        self.calls.append(len(media))
        scores = [self.read(each) for each in media]
        return [Prediction(score, score >= 0.5, model_s=0.001, cost_usd=0.01) for score in scores]

    async def close(self) -> None: ...


def put_picture(path: Path, red: int, size: tuple[int, int] = (24, 16)) -> Path:
    """A plain picture of that red."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    pixels[..., 0] = red
    Image.fromarray(pixels).save(path)
    return path


def sample(path: Path, harmful: bool | None, **fields: object) -> Sample:
    values = {"id": path.name, "locator": FileMedia(path=path), "modality": "image", "harmful": harmful, **fields}
    return Sample.model_validate(values)
