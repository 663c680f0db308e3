"""Published picture classifiers of transformers: softmax over their labels, and the share of the harmful ones.

Source of the default: model card of Falconsai/nsfw_image_detection (a ViT with the labels `normal` and `nsfw`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Self

from judge.bench.detectors.base import DetectorInfo, DetectorSettings
from judge.bench.detectors.checkpoints import Checkpoint
from judge.bench.detectors.network_detector import NETWORK_FIELDS, NetworkDetector, Published, describe, load_published
from judge.bench.detectors.options import read_options
from judge.bench.detectors.picture_detector import PictureOptions, PictureScore
from judge.errors import ConfigError, did_you_mean, quoted
from judge.sources.categories import Category

if TYPE_CHECKING:
    from PIL.Image import Image


class ClassifierOptions(PictureOptions):
    """Which labels of the model mean harm."""

    harmful: dict[str, Category] | None = None
    """Label of the model -> kind of harm; null = as published. The score is the sum of their probabilities."""


class ImageClassifier(NetworkDetector):
    """Any classifier of transformers whose labels exclude each other, as `image-classifier`: settings name both.

    Args:
        checkpoint: The network; its configuration names the labels.
        harmful: See `ClassifierOptions`.
        info: See `FrameDetector`.
        batch: See `FrameDetector`.
        max_frames: See `FrameDetector`.

    Raises:
        ConfigError: The model has no such label, or its labels do not exclude each other.
    """

    published: ClassVar[Published] = Published("", frozenset(), 0.5, "")
    harmful: ClassVar[Mapping[str, Category]] = MappingProxyType({})

    def __init__(
        self,
        checkpoint: Checkpoint,
        harmful: Mapping[str, Category],
        info: DetectorInfo,
        *,
        batch: int,
        max_frames: int,
    ) -> None:
        super().__init__(checkpoint, info, batch=batch, max_frames=max_frames)
        self._columns = _columns(checkpoint, harmful)

    @classmethod
    def from_settings(cls, settings: DetectorSettings) -> Self:
        options = read_options(ClassifierOptions, settings, uses=NETWORK_FIELDS)
        harmful = dict(cls.harmful) if options.harmful is None else options.harmful
        if not harmful:
            raise ConfigError(
                f"detector '{settings.name}': option harmful names no label of the model", hint="harmful={LABEL: KIND}"
            )
        if not (settings.model or cls.published.model):
            raise ConfigError(f"detector '{settings.name}' needs a model", hint="model=FOLDER or a Hugging Face id")
        source = f"huggingface.co/{settings.model}" if settings.model else cls.published.source
        published = replace(cls.published, categories=frozenset(harmful.values()), source=source)
        checkpoint = load_published(settings, published, _network_class)
        info = describe(settings, options.model_copy(update={"harmful": harmful}), published, checkpoint)
        return cls(checkpoint, harmful, info, batch=settings.batch, max_frames=options.max_frames)

    def read(self, checkpoint: Checkpoint, pictures: Sequence[Image]) -> list[PictureScore]:
        logits = checkpoint.network(pixel_values=checkpoint.inputs(pictures)).logits
        return [self._read(row) for row in logits.double().softmax(dim=-1).tolist()]

    def _read(self, row: Sequence[float]) -> PictureScore:
        kinds = dict.fromkeys(self._columns.values())
        shares = {kind: _sum(row, [at for at, of in self._columns.items() if of == kind]) for kind in kinds}
        return PictureScore(_sum(row, list(self._columns)), shares)


class Falconsai(ImageClassifier):
    """Falconsai/nsfw_image_detection."""

    published = Published(
        "Falconsai/nsfw_image_detection", frozenset({"sexual"}), 0.5, "huggingface.co/Falconsai/nsfw_image_detection"
    )
    harmful = MappingProxyType({"nsfw": "sexual"})


def _sum(row: Sequence[float], columns: Sequence[int]) -> float:
    """Rounding may carry a sum of probabilities a hair above 1; a NaN stays one."""
    total = sum(row[column] for column in columns)
    return 1.0 if 1.0 < total < 1.0 + 1e-9 else total


def _columns(checkpoint: Checkpoint, harmful: Mapping[str, Category]) -> dict[int, Category]:
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
