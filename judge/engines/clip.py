"""CLIP and SigLIP through transformers: images and texts as unit vectors in one space."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import AutoModel

from judge.assets import encoder_path
from judge.engines.base import ModelInfo
from judge.engines.loading import describe_model, find_model, load_network, load_processor, place_of, precision_of
from judge.engines.model_folder import check_digests
from judge.errors import EngineError
from judge.types import Frame

T = TypeVar("T")
_BATCH = 32


class ClipEmbedder:
    """See `judge.engines.base.Embedder`.

    Args:
        model: A folder or a Hugging Face id of a CLIP or SigLIP model.
        device: As for the engine.
        local_files_only: Never ask the hub.

    Raises:
        ConfigError: The model cannot be loaded, or is of another kind.
    """

    def __init__(self, model: str, *, device: str = "auto", local_files_only: bool = False) -> None:
        source = find_model(model, revision=None, local_files_only=local_files_only)
        place = place_of(device)
        precision = precision_of("float32", place.type)
        self._processor: Any = load_processor(source, trust_remote_code=False)
        self._network: Any = load_network(AutoModel, source, place, precision)
        self._place = place
        # SigLIP was trained on texts padded to full length, and gives other vectors without.
        self._padding = "max_length" if "siglip" in self._network.config.model_type else "longest"
        self.info: ModelInfo
        self.info, _ = describe_model(
            source, name="", config_json=self._network.config.to_json_string(), runtime=f"float32/{place.type}"
        )

    @classmethod
    def load(cls, model: str, device: str) -> ClipEmbedder:
        """As the settings of a stage name it: an encoder that ships with this package, a folder, or an id of the hub.

        Raises:
            ConfigError: As the constructor; or a file of an embedded encoder is missing or damaged.
        """
        embedded = encoder_path(model)
        if embedded is None:
            return cls(model, device=device)
        check_digests(embedded, model)
        return cls(str(embedded), device=device, local_files_only=True)

    async def embed_frames(self, frames: Sequence[Frame]) -> NDArray[np.float32]:
        def embed(part: Sequence[Frame]) -> torch.Tensor:
            images = [Image.fromarray(frame.image) for frame in part]
            inputs = self._processor(images=images, return_tensors="pt").to(self._place)
            return _pooled(self._network.get_image_features(**inputs))

        return await asyncio.to_thread(self._embed, frames, embed)

    async def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        def embed(part: Sequence[str]) -> torch.Tensor:
            inputs = self._processor(text=list(part), padding=self._padding, truncation=True, return_tensors="pt")
            return _pooled(self._network.get_text_features(**inputs.to(self._place)))

        return await asyncio.to_thread(self._embed, texts, embed)

    def _embed(self, items: Sequence[T], embed: Callable[[Sequence[T]], torch.Tensor]) -> NDArray[np.float32]:
        if not items:
            return np.zeros((0, 0), dtype=np.float32)
        try:
            with torch.inference_mode():
                parts = [embed(items[start : start + _BATCH]) for start in range(0, len(items), _BATCH)]
                rows = torch.nn.functional.normalize(torch.cat(parts).float(), dim=-1)
        except Exception as error:
            raise EngineError(f"embedder '{self.info.name}' failed: {type(error).__name__}: {error}") from error
        if not torch.isfinite(rows).all():
            raise EngineError(f"embedder '{self.info.name}' gave a vector that is no number")
        return np.asarray(rows.cpu().numpy(), dtype=np.float32)


def _pooled(features: Any) -> torch.Tensor:
    """Older models return the tensor itself, newer ones an output that holds it."""
    pooled: torch.Tensor = features if isinstance(features, torch.Tensor) else features.pooler_output
    return pooled
