"""Published picture classifiers of transformers: softmax over their labels, and the share of the harmful ones.

Source of the default: model card of Falconsai/nsfw_image_detection (a ViT with the labels `normal` and `nsfw`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field

from judge.bench.detectors.base import DetectorInfo, DetectorSettings
from judge.bench.detectors.checkpoints import Checkpoint, load_checkpoint
from judge.bench.detectors.picture_detector import (
    PICTURES,
    PictureDetector,
    PictureOptions,
    PictureScore,
    digest_of,
    read_options,
)
from judge.errors import ConfigError, EngineError, did_you_mean, quoted
from judge.sources.categories import Category

if TYPE_CHECKING:
    from PIL.Image import Image

_MODEL = "Falconsai/nsfw_image_detection"


class ClassifierOptions(PictureOptions):
    """Which labels of the model mean harm."""

    harmful: Annotated[dict[str, Category], Field(min_length=1)] = Field(default_factory=lambda: {"nsfw": "sexual"})
    """Label of the model -> kind of harm. The score is the sum of their probabilities."""


class Falconsai(PictureDetector):
    """Any classifier of transformers whose labels exclude each other; by default Falconsai's.

    Args:
        checkpoint: The network; its configuration names the labels.
        harmful: See `ClassifierOptions`.
        info: See `PictureDetector`.
        batch: See `PictureDetector`.
        max_frames: See `PictureDetector`.

    Raises:
        ConfigError: The model has no such label, or its labels do not exclude each other.
    """

    def __init__(
        self, checkpoint: Checkpoint, harmful: dict[str, Category], info: DetectorInfo, *, batch: int, max_frames: int
    ) -> None:
        super().__init__(info, batch=batch, max_frames=max_frames)
        self._checkpoint: Checkpoint | None = checkpoint
        self._columns = _columns(checkpoint, harmful)

    @classmethod
    def from_settings(cls, settings: DetectorSettings) -> Self:
        options = read_options(ClassifierOptions, settings)
        checkpoint = load_checkpoint(settings.model or _MODEL, settings.device, _network_class)
        threshold = 0.5 if settings.threshold is None else settings.threshold
        info = DetectorInfo(
            name=settings.label or f"{checkpoint.name}({', '.join(options.harmful)}, {threshold:g})",
            digest=digest_of(settings, checkpoint.digest),
            modalities=PICTURES,
            categories=frozenset(options.harmful.values()),
            threshold=threshold,
            source=f"huggingface.co/{settings.model or _MODEL}",
        )
        return cls(checkpoint, options.harmful, info, batch=settings.batch, max_frames=options.max_frames)

    def score(self, pictures: Sequence[Image]) -> list[PictureScore]:
        import torch  # noqa: PLC0415

        if self._checkpoint is None:
            raise EngineError(f"detector '{self.info.name}' is closed")
        with torch.inference_mode():
            logits = self._checkpoint.network(pixel_values=self._checkpoint.inputs(pictures)).logits
            rows: list[list[float]] = torch.softmax(logits.double(), dim=-1).tolist()
        return [self._read(row) for row in rows]

    def release(self) -> None:
        self._checkpoint = None

    def _read(self, row: Sequence[float]) -> PictureScore:
        kinds = dict.fromkeys(self._columns.values())
        shares = {kind: _sum(row, [at for at, of in self._columns.items() if of == kind]) for kind in kinds}
        return PictureScore(_sum(row, list(self._columns)), shares)


def _sum(row: Sequence[float], columns: Sequence[int]) -> float:
    """Rounding may carry a sum of probabilities a hair above 1; a NaN stays one."""
    total = sum(row[column] for column in columns)
    return 1.0 if 1.0 < total < 1.0 + 1e-9 else total


def _columns(checkpoint: Checkpoint, harmful: dict[str, Category]) -> dict[int, Category]:
    config: Any = checkpoint.network.config
    if config.problem_type == "multi_label_classification":
        raise ConfigError(f"model '{checkpoint.name}': its labels do not exclude each other, so they have no softmax")
    labels = {str(label): int(column) for column, label in config.id2label.items()}
    for label in harmful:
        if label not in labels:
            hint = did_you_mean(label, labels)
            raise ConfigError(f"model '{checkpoint.name}' has no label {quoted(label)}", hint=hint)
    if len(harmful) == len(labels):
        raise ConfigError(f"model '{checkpoint.name}': every label counts as harmful, so every score would be 1")
    return {labels[label]: kind for label, kind in harmful.items()}


def _network_class() -> Any:
    from transformers import AutoModelForImageClassification  # noqa: PLC0415

    return AutoModelForImageClassification
