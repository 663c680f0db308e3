"""The picture side of a CLIP model, which several detectors read: the text side of a checkpoint is left where it is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from judge.bench.detectors.checkpoints import Checkpoint

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

_DEEPER = {r"^vision_model\.vision_model\.": "vision_model."}
"""Published filters have the picture side one level deeper than transformers has it today."""


@cache
def clip_class() -> Any:
    """A class of transformers with `from_pretrained`."""
    import transformers  # noqa: PLC0415

    side: Any = transformers.CLIPVisionModelWithProjection

    class PictureSide(side):  # type: ignore[misc]
        _keys_to_ignore_on_load_unexpected: ClassVar = [
            r"^text_model\.", r"^text_projection\.", r"^logit_scale$", r"position_ids$",
        ]  # fmt: skip

        @classmethod
        def from_pretrained(cls, location: str, **options: Any) -> Any:
            config = _vision_config(location, options)
            return super().from_pretrained(location, config=config, key_mapping=_DEEPER, **options)

    return PictureSide


def clip_vectors(checkpoint: Checkpoint, pictures: Sequence[Image]) -> Tensor:
    """`(pictures, dimensions)` in CLIP's common space, rows of length 1; a picture without direction gives NaN."""
    vectors: Tensor = checkpoint.network(pixel_values=checkpoint.inputs(pictures)).image_embeds.float()
    lengths: Tensor = vectors.norm(dim=-1, keepdim=True)
    return vectors / lengths


def _vision_config(location: str, options: dict[str, Any]) -> Any:
    """Old files say the size of the common space only outside the picture side's own part."""
    from transformers import AutoConfig, CLIPConfig, CLIPVisionConfig  # noqa: PLC0415

    places = ("revision", "trust_remote_code", "local_files_only")
    found: Any = AutoConfig.from_pretrained(location, **{name: options[name] for name in places if name in options})
    if isinstance(found, CLIPConfig):
        vision: Any = found.vision_config
        vision.projection_dim = found.projection_dim
        return vision
    if isinstance(found, CLIPVisionConfig):
        return found
    raise ValueError(f"it is of the kind '{found.model_type}', not a CLIP model")
