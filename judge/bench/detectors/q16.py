"""Q16: is a picture inappropriate? CLIP's picture vector against two learned ones, for appropriate and inappropriate.

Source: arXiv 2202.06675 and github.com/ml-research/Q16, which publishes the two vectors for each CLIP model that it was
made with as `data/<model>/prompts.p`: they fit that model only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from judge.bench.detectors.base import DetectorInfo, DetectorSettings
from judge.bench.detectors.checkpoints import Checkpoint
from judge.bench.detectors.clip_side import clip_class, clip_vectors
from judge.bench.detectors.network_detector import NETWORK_FIELDS, NetworkDetector, Published, describe, load_published
from judge.bench.detectors.options import read_options
from judge.bench.detectors.picture_detector import PictureOptions, PictureScore
from judge.bench.detectors.vectors_file import read_vectors
from judge.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

_PUBLISHED = Published("openai/clip-vit-large-patch14", None, 0.5, "arXiv 2202.06675")
_LOGIT_SCALE = 100.0
_INAPPROPRIATE = 1
"""Row of the vectors."""


class Q16Options(PictureOptions):
    """Where the learned vectors are."""

    prompts: str
    """File of two vectors, appropriate first: the published `prompts.p`, `.npy`, or `.safetensors` with one tensor."""


class Q16(NetworkDetector):
    """See the module.

    Args:
        checkpoint: The picture side of a CLIP model.
        prompts: `(2, dimensions)`.
        info: See `FrameDetector`.
        batch: See `FrameDetector`.
        max_frames: See `FrameDetector`.

    Raises:
        ConfigError: The vectors do not fit the model.
    """

    def __init__(
        self, checkpoint: Checkpoint, prompts: NDArray[np.float32], info: DetectorInfo, *, batch: int, max_frames: int
    ) -> None:
        import torch  # noqa: PLC0415

        super().__init__(checkpoint, info, batch=batch, max_frames=max_frames)
        wanted = (2, int(checkpoint.network.config.projection_dim))
        lengths = torch.from_numpy(prompts).norm(dim=-1, keepdim=True)
        if prompts.shape != wanted or not lengths.all():
            raise ConfigError(
                f"model '{checkpoint.name}' needs prompts of {wanted[0]} x {wanted[1]} numbers, each row with a "
                f"direction; these are {' x '.join(map(str, prompts.shape))}",
                hint="use the prompts that were learned with this CLIP model",
            )
        self._prompts = (torch.from_numpy(prompts) / lengths).to(checkpoint.place)

    @classmethod
    def from_settings(cls, settings: DetectorSettings) -> Self:
        options = read_options(Q16Options, settings, uses=NETWORK_FIELDS)
        prompts, digest = read_vectors(options.prompts, "prompts of Q16")
        checkpoint = load_published(settings, _PUBLISHED, clip_class)
        info = describe(settings, options, _PUBLISHED, checkpoint, files={"prompts": digest})
        return cls(checkpoint, prompts, info, batch=settings.batch, max_frames=options.max_frames)

    def read(self, checkpoint: Checkpoint, pictures: Sequence[Image]) -> list[PictureScore]:
        similarity = _LOGIT_SCALE * clip_vectors(checkpoint, pictures) @ self._prompts.T
        column: list[float] = similarity.double().softmax(dim=-1)[:, _INAPPROPRIATE].tolist()
        return [PictureScore(value) for value in column]
