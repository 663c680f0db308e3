"""OWLv2 through transformers: finds objects by their names. Source: arXiv 2306.09683."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers import AutoModelForZeroShotObjectDetection

from judge.engines.base import ModelInfo
from judge.engines.loading import describe_model, find_model, load_network, load_processor, place_of, precision_of
from judge.errors import EngineError
from judge.types import Frame, Region


class Owlv2Detector:
    """See `judge.engines.base.ObjectDetector`.

    Args:
        model: A folder or a Hugging Face id of an OWLv2 model.
        device: As for the engine.
        local_files_only: Never ask the hub.

    Raises:
        ConfigError: The model cannot be loaded.
    """

    def __init__(self, model: str, *, device: str = "auto", local_files_only: bool = False) -> None:
        source = find_model(model, revision=None, local_files_only=local_files_only)
        self._place = place_of(device)
        precision = precision_of("float32", self._place.type)
        self._processor: Any = load_processor(source, trust_remote_code=False)
        self._network: Any = load_network(AutoModelForZeroShotObjectDetection, source, self._place, precision)
        self.info: ModelInfo
        self.info, _ = describe_model(
            source, name="", config_json=self._network.config.to_json_string(), runtime=f"float32/{self._place.type}"
        )

    @classmethod
    def load(cls, model: str, device: str) -> Owlv2Detector:
        """As the settings of a stage name it."""
        return cls(model, device=device)

    async def detect(
        self, frames: Sequence[Frame], names: Sequence[Sequence[str]], *, min_score: float
    ) -> list[tuple[Region, ...]]:
        """One frame at a time: the boxes of a frame are found for all of its names together."""
        return [
            await asyncio.to_thread(self._detect, frame, tuple(dict.fromkeys(wanted)), min_score) if wanted else ()
            for frame, wanted in zip(frames, names, strict=True)
        ]

    def _detect(self, frame: Frame, names: Sequence[str], min_score: float) -> tuple[Region, ...]:
        height, width = frame.image.shape[:2]
        texts = [f"a photo of a {name}" for name in names]  # the wording that CLIP-like encoders were tuned on
        try:
            with torch.inference_mode():
                inputs = self._processor(text=[texts], images=Image.fromarray(frame.image), return_tensors="pt")
                outputs = self._network(**inputs.to(self._place))
                (found,) = self._processor.post_process_grounded_object_detection(
                    outputs, threshold=min_score, target_sizes=[(height, width)]
                )
        except Exception as error:
            raise EngineError(f"detector '{self.info.name}' failed: {type(error).__name__}: {error}") from error
        rows = zip(found["boxes"].tolist(), found["labels"].tolist(), found["scores"].tolist(), strict=True)
        regions = [_region(box, names[label], score, width, height) for box, label, score in rows]
        return tuple(sorted((r for r in regions if r is not None), key=lambda region: -region.score))


def _region(box: Sequence[float], name: str, score: float, width: int, height: int) -> Region | None:
    """A box in pixels as shares of the frame; None if nothing of it lies inside (OWLv2 pads frames to squares)."""
    left, right = (min(max(x / width, 0.0), 1.0) for x in (box[0], box[2]))
    top, bottom = (min(max(y / height, 0.0), 1.0) for y in (box[1], box[3]))
    if not (left < right and top < bottom):
        return None
    return Region(left=left, top=top, right=right, bottom=bottom, label=name, score=min(max(score, 0.0), 1.0))
