"""LAION's CLIP-based NSFW detector: a small network over CLIP's picture vector; 1 = not safe for work.

The head is read from `options.head`: the `.pth` that is published (`models/` of the repository), or a safetensors file
with the same names: `norm.mean` and `norm.variance` `(dimensions,)`, then `linear_1.weight` `(out, in)` and
`linear_1.bias` `(out,)`, `linear_2.weight`... to the last layer, which has one output; ReLU between them, a sigmoid at
the end. The published heads have four layers for ViT-L/14 and three for ViT-B/32. The one for ViT-H/14 has other names
and no sigmoid: it is refused.
Source: github.com/LAION-AI/CLIP-based-NSFW-Detector.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Self

from judge.bench.detectors.base import DetectorInfo, DetectorSettings
from judge.bench.detectors.checkpoints import Checkpoint, import_loading, needed_file
from judge.bench.detectors.clip_side import clip_class, clip_vectors
from judge.bench.detectors.network_detector import NETWORK_FIELDS, NetworkDetector, Published, describe, load_published
from judge.bench.detectors.options import read_options
from judge.bench.detectors.picture_detector import PictureOptions, PictureScore
from judge.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

_PUBLISHED = Published(
    "openai/clip-vit-large-patch14", frozenset({"sexual"}), 0.5, "github.com/LAION-AI/CLIP-based-NSFW-Detector"
)
_SMALLEST = 1e-7
"""Keras divides by no smaller deviation; the weights were trained so."""
_MAX_BYTES = 1 << 27


class LaionOptions(PictureOptions):
    """Where the head is."""

    head: str
    """File of the head, `.safetensors` or `.pth`; it fits one CLIP model only, by default ViT-L/14."""


@dataclass(frozen=True, slots=True)
class Head:
    """`layers` are weight `(out, in)` and bias `(out,)`; the last has one output."""

    mean: Tensor
    deviation: Tensor
    layers: tuple[tuple[Tensor, Tensor], ...]

    def __call__(self, vectors: Tensor) -> Tensor:
        """Logits `(vectors,)`."""
        values = (vectors - self.mean) / self.deviation
        for number, (weight, bias) in enumerate(self.layers, start=1):
            values = values @ weight.T + bias
            values = values if number == len(self.layers) else values.relu()
        return values[:, 0]

    def to(self, checkpoint: Checkpoint) -> Head:
        place = checkpoint.place
        layers = tuple((weight.to(place), bias.to(place)) for weight, bias in self.layers)
        return Head(self.mean.to(place), self.deviation.to(place), layers)


class LaionHead(NetworkDetector):
    """See the module.

    Raises:
        ConfigError: The head does not fit the CLIP model.
    """

    def __init__(self, checkpoint: Checkpoint, head: Head, info: DetectorInfo, *, batch: int, max_frames: int) -> None:
        super().__init__(checkpoint, info, batch=batch, max_frames=max_frames)
        dimensions = int(checkpoint.network.config.projection_dim)
        if len(head.mean) != dimensions:
            raise ConfigError(
                f"model '{checkpoint.name}' gives {dimensions} numbers and the head takes {len(head.mean)}",
                hint="use the head that was trained with this CLIP model",
            )
        self._head = head.to(checkpoint)

    @classmethod
    def from_settings(cls, settings: DetectorSettings) -> Self:
        options = read_options(LaionOptions, settings, uses=NETWORK_FIELDS)
        import_loading()
        head, digest = read_head(options.head)
        checkpoint = load_published(settings, _PUBLISHED, clip_class)
        info = describe(settings, options, _PUBLISHED, checkpoint, files={"head": digest})
        return cls(checkpoint, head, info, batch=settings.batch, max_frames=options.max_frames)

    def read(self, checkpoint: Checkpoint, pictures: Sequence[Image]) -> list[PictureScore]:
        values: list[float] = self._head(clip_vectors(checkpoint, pictures)).double().sigmoid().tolist()
        return [PictureScore(value, {"sexual": value}) for value in values]


def read_head(path: str) -> tuple[Head, str]:
    """The head, and the sha256 (hex) of its file.

    Raises:
        ConfigError: The file is missing or holds no such head.
    """
    file = needed_file(path, "head of LAION's detector", (".safetensors", ".pth"))
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"head '{path}' is larger than {_MAX_BYTES:,} bytes: it is no small network")
        data = file.read_bytes()
        tensors = _tensors(file.suffix.lower(), data)
    except ConfigError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise ConfigError(f"head '{path}' cannot be read: {reason}") from error
    return _head(path, {name: tensor.float() for name, tensor in tensors.items()}), hashlib.sha256(data).hexdigest()


def _tensors(suffix: str, data: bytes) -> Mapping[str, Tensor]:
    import io  # noqa: PLC0415

    import torch  # noqa: PLC0415
    from safetensors.torch import load  # noqa: PLC0415

    # `weights_only`: a pickle may name tensors and nothing that runs.
    found: object = load(data) if suffix == ".safetensors" else torch.load(io.BytesIO(data), "cpu", weights_only=True)
    if not isinstance(found, Mapping) or not all(isinstance(each, torch.Tensor) for each in found.values()):
        raise ConfigError("the head's file holds something other than named tensors")
    return found


def _head(path: str, tensors: Mapping[str, Tensor]) -> Head:
    names: list[str] = []
    for number in count(1):
        if f"linear_{number}.weight" not in tensors:
            break
        names.append(f"linear_{number}")
    wanted = ["norm.mean", "norm.variance", *(f"{name}.{part}" for name in names for part in ("weight", "bias"))]
    if not names or set(wanted) != set(tensors):
        differing = sorted(set(wanted) ^ set(tensors))[:4]
        raise ConfigError(
            f"head '{path}' has not the names of LAION's: {', '.join(differing) or 'no layers'}",
            hint="wanted are norm.mean, norm.variance, linear_1.weight, linear_1.bias, linear_2.weight...",
        )
    mean, variance = tensors["norm.mean"].flatten(), tensors["norm.variance"].flatten()
    head = Head(
        mean, variance.sqrt().clamp(min=_SMALLEST), tuple((tensors[f"{n}.weight"], tensors[f"{n}.bias"]) for n in names)
    )
    _check(path, head, variance)
    return head


def _check(path: str, head: Head, variance: Tensor) -> None:
    width = len(head.mean)
    sound = len(variance) == width and bool((variance >= 0).all()) and bool(head.mean.isfinite().all())
    for weight, bias in head.layers:
        sound = sound and weight.ndim == 2 and weight.shape[1] == width and bias.shape == weight.shape[:1]
        sound = sound and bool(weight.isfinite().all()) and bool(bias.isfinite().all())
        width = weight.shape[0]
    if not sound or width != 1:
        raise ConfigError(f"head '{path}': its layers do not fit each other, or hold something that is no number")
