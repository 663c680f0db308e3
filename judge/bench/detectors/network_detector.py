"""What detectors that are one network of transformers share: where it is kept, and what reports show of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from judge.bench.detectors.base import DetectorInfo, DetectorSettings
from judge.bench.detectors.checkpoints import Checkpoint, load_checkpoint
from judge.bench.detectors.picture_detector import PictureDetector, PictureScore, digest_of
from judge.bench.detectors.pictures import PICTURES
from judge.config import Settings
from judge.errors import EngineError
from judge.sources.categories import Category

if TYPE_CHECKING:
    from PIL.Image import Image


NETWORK_FIELDS = ("model", "device")
"""What a network on this machine can use of the settings; see `read_options`."""


@dataclass(frozen=True, slots=True)
class Published:
    """What is known of a detector before its weights are.

    Attributes:
        model: Where its weights are published, on the hub.
        categories: See `DetectorInfo`.
        threshold: The published one.
        source: Paper or model card.
    """

    model: str
    categories: frozenset[Category] | None
    threshold: float
    source: str


class NetworkDetector(PictureDetector):
    """See `PictureDetector`; `checkpoint` is let go when the detector is closed."""

    def __init__(self, checkpoint: Checkpoint, info: DetectorInfo, *, batch: int, max_frames: int) -> None:
        super().__init__(info, batch=batch, max_frames=max_frames)
        self._checkpoint: Checkpoint | None = checkpoint

    @abstractmethod
    def read(self, checkpoint: Checkpoint, pictures: Sequence[Image]) -> list[PictureScore]:
        """As `score`, without gradients."""

    def score(self, pictures: Sequence[Image]) -> list[PictureScore]:
        import torch  # noqa: PLC0415

        if self._checkpoint is None:
            raise EngineError(f"detector '{self.info.name}' is closed")
        with torch.inference_mode():
            return self.read(self._checkpoint, pictures)

    def release(self) -> None:
        self._checkpoint = None


def describe(
    settings: DetectorSettings,
    options: Settings,
    published: Published,
    checkpoint: Checkpoint,
    *,
    files: Mapping[str, str] = MappingProxyType({}),
) -> DetectorInfo:
    """Everything about a detector.

    Args:
        settings: As given.
        options: Its own, as they were understood.
        published: Its defaults.
        checkpoint: The network that was loaded.
        files: Options that name a file which belongs to it -> the file's digest.
    """
    threshold = published.threshold if settings.threshold is None else settings.threshold
    parts = (f"{threshold!r}", checkpoint.digest, checkpoint.runtime, *files.values())
    return DetectorInfo(
        name=settings.label or f"{settings.name}({checkpoint.name}, {threshold:g})",
        digest=digest_of(settings, *parts, options=options, files=tuple(files)),
        modalities=PICTURES,
        categories=published.categories,
        threshold=threshold,
        source=published.source,
    )


def load_published(settings: DetectorSettings, published: Published, network_class: Callable[[], Any]) -> Checkpoint:
    """As `load_checkpoint`."""
    return load_checkpoint(settings.model or published.model, settings.device, network_class)
