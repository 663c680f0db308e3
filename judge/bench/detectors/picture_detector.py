"""What detectors that classify pictures on this machine share: their options, their digest, work in a thread."""

from __future__ import annotations

import asyncio
import hashlib
import json
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from judge import __version__
from judge.bench.detectors.base import DetectorSettings, Prediction
from judge.bench.detectors.frame_detector import FrameDetector, PictureScore
from judge.bench.detectors.pictures import picture_of
from judge.config import Settings
from judge.types import Frame

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["PictureDetector", "PictureOptions", "PictureScore", "digest_of"]


class PictureOptions(Settings):
    """Options of every detector that scores single pictures."""

    max_frames: Annotated[int, Field(ge=1)] = 8
    """Frames of an animation that are looked at, evenly spread; the highest score counts."""


def digest_of(
    settings: DetectorSettings, *parts: str, options: Settings | None = None, files: Sequence[str] = ()
) -> str:
    """sha256 (hex) of what predictions depend on, the version of this package included.

    Not of the batch, which changes no more than the last digits.

    Args:
        settings: Of the detector; its threshold is one of the `parts`, as it was understood.
        parts: What they depend on besides: the threshold, digests of weights, what they run on.
        options: As they were understood, defaults included; None = as they were given.
        files: Options that name a file: it counts by a digest among the `parts`, wherever it lies.
    """
    understood = dict(settings.options) if options is None else options.model_dump(mode="json")
    told = {
        "version": __version__, "name": settings.name, "parts": parts,
        "options": {name: value for name, value in understood.items() if name not in files},
    }  # fmt: skip
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


class PictureDetector(FrameDetector):
    """A `FrameDetector` whose model is given RGB pictures, in a thread of its own."""

    @abstractmethod
    def score(self, pictures: Sequence[Image]) -> list[PictureScore]:
        """One per picture, in order. Blocks; whatever it raises is a failure."""

    @abstractmethod
    def release(self) -> None:
        """Free the memory; may be called twice."""

    async def score_frames(self, frames: Sequence[Frame]) -> list[PictureScore | Prediction]:
        return [*await asyncio.to_thread(self.score, [picture_of(frame) for frame in frames])]

    async def close(self) -> None:
        await asyncio.to_thread(self.release)
