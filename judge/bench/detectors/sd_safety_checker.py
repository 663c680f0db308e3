"""The filter that ships with Stable Diffusion: CLIP's picture vector against 17 hidden concepts, each with a threshold.

A picture near one of three further concepts of "special care" is filtered more strictly: 0.01 is added to every margin
from there on. It is filtered if the margin of any of the 17 is above 0 once rounded to three decimals. The score is
`1 / (1 + exp(-20 (margin - 0.0005)))` of the largest of these margins: half a rounding step is taken off, so that just
the filtered pictures have 0.5 and more.
Source: model card of CompVis/stable-diffusion-safety-checker; arXiv 2210.04610 found the concepts to be sexual ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from judge.bench.detectors.base import DetectorSettings
from judge.bench.detectors.checkpoints import Checkpoint
from judge.bench.detectors.clip_side import clip_class, clip_vectors
from judge.bench.detectors.network_detector import NETWORK_FIELDS, NetworkDetector, Published, describe, load_published
from judge.bench.detectors.options import read_options
from judge.bench.detectors.picture_detector import PictureOptions, PictureScore

if TYPE_CHECKING:
    from PIL.Image import Image

_PUBLISHED = Published(
    "CompVis/stable-diffusion-safety-checker",
    frozenset({"sexual"}),
    0.5,
    "huggingface.co/CompVis/stable-diffusion-safety-checker",
)
_CONCEPTS, _SPECIAL_CARE = 17, 3
_STRICTER = 0.01
_DECIMALS = 3
_HALF_STEP = 0.5 * 10**-_DECIMALS
_SLOPE = 20.0


class SdSafetyChecker(NetworkDetector):
    """See the module."""

    @classmethod
    def from_settings(cls, settings: DetectorSettings) -> Self:
        options = read_options(PictureOptions, settings, uses=NETWORK_FIELDS)
        checkpoint = load_published(settings, _PUBLISHED, _network_class)
        info = describe(settings, options, _PUBLISHED, checkpoint)
        return cls(checkpoint, info, batch=settings.batch, max_frames=options.max_frames)

    def read(self, checkpoint: Checkpoint, pictures: Sequence[Image]) -> list[PictureScore]:
        network, vectors = checkpoint.network, clip_vectors(checkpoint, pictures)
        special = _cosines(vectors, network.special_care_embeds)
        concepts = _cosines(vectors, network.concept_embeds)
        care, thresholds = network.special_care_embeds_weights.tolist(), network.concept_embeds_weights.tolist()
        margins = [largest_margin(*each, care, thresholds) for each in zip(special, concepts, strict=True)]
        return [_score(margin) for margin in margins]


def largest_margin(
    special: Sequence[float], concepts: Sequence[float], care: Sequence[float], thresholds: Sequence[float]
) -> float:
    """As published: the cosine's margin over its threshold, in the order of the concepts; NaN if any is.

    Args:
        special: Cosines with the concepts of special care.
        concepts: Cosines with the 17.
        care: Thresholds of the concepts of special care.
        thresholds: Of the 17.
    """
    added = 0.0
    if not all(math.isfinite(each) for each in (*special, *concepts)):
        return math.nan
    for cosine, threshold in zip(special, care, strict=True):
        if round(cosine - threshold + added, _DECIMALS) > 0:
            added = _STRICTER
    return max(round(each - limit + added, _DECIMALS) for each, limit in zip(concepts, thresholds, strict=True))


def _score(margin: float) -> PictureScore:
    score = 1.0 / (1.0 + math.exp(-_SLOPE * (margin - _HALF_STEP)))
    return PictureScore(score, {"sexual": score})


def _cosines(vectors: Any, concepts: Any) -> list[list[float]]:
    cosines: list[list[float]] = (vectors @ (concepts / concepts.norm(dim=-1, keepdim=True)).T).tolist()
    return cosines


@cache
def _network_class() -> Any:
    import torch  # noqa: PLC0415

    side: Any = clip_class()

    class Checker(side):  # type: ignore[misc]
        """CLIP's picture side with the concepts beside it, under their published names."""

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            for name, rows in (("concept_embeds", _CONCEPTS), ("special_care_embeds", _SPECIAL_CARE)):
                self.register_buffer(name, torch.ones(rows, config.projection_dim))
                self.register_buffer(f"{name}_weights", torch.ones(rows))

    return Checker
