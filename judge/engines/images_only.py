"""Processors of families that take videos too, without the part for videos: that one alone needs torchvision.

With it they cannot be loaded where torchvision is missing (transformers 5.19: Qwen-VL, InternVL, SmolVLM 2), and we
hand every model single frames. Not for code that comes with a model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import AutoConfig, AutoProcessor
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.utils.import_utils import is_torchvision_available

_VIDEO = "video_processor"


def images_only(kind: Any, location: str, options: Mapping[str, object]) -> Any | None:
    """A processor class that loads without torchvision.

    Args:
        kind: The class that did not load, or `AutoProcessor`.
        location: Folder or id of the model.
        options: For `from_pretrained`.

    Returns:
        None where torchvision is here or has nothing to do with it.
    """
    if is_torchvision_available():
        return None
    found = _registered(location, options) if kind is AutoProcessor else kind
    if found is None or _VIDEO not in found.get_attributes():
        return None

    kept = [name for name in found.get_attributes() if name != _VIDEO]
    return type(found.__name__, (found,), {"get_attributes": classmethod(lambda _class: kept)})


def _registered(location: str, options: Mapping[str, object]) -> Any | None:
    """The processor class of the model's family."""
    auto_config: Any = AutoConfig
    try:
        config = auto_config.from_pretrained(location, **options)
    except Exception:  # the caller tells why the model does not load
        return None
    return PROCESSOR_MAPPING.get(type(config), None)
