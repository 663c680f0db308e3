"""What packed questions may see, as the attention layers of a model want to be told it.

Layers with a sliding window keep only the end of the prefix, and count distances in tokens, not in positions: both as
transformers' own masks do (the short prompts of the start-up probe would not show a difference). Not for layers that
see in chunks, or that have no attention at all.
"""

from __future__ import annotations

import torch
from torch import Tensor

from judge.engines.model_interface import Cache, Model
from judge.engines.packing import Packing

_FULL, _SLIDING = "full_attention", "sliding_attention"


def packed_masks(model: Model, packing: Packing, cache: Cache | None) -> Tensor | dict[str, Tensor]:
    """One mask, or one for each kind of layer where the kinds are mixed.

    Raises:
        NotImplementedError: The model cannot take masks of ours.
    """
    kinds = _layer_kinds(model)
    masks = {kind: _usable(model, _seen(packing, cache, kind, window)) for kind, window in kinds.items()}
    return masks if len(masks) > 1 else next(iter(masks.values()))


def _layer_kinds(model: Model) -> dict[str, int | None]:
    """Kinds of layers of the language model, with their windows."""
    config = model.config.get_text_config()
    window: int | None = getattr(config, "sliding_window", None)
    kinds: set[str] = set(getattr(config, "layer_types", None) or (_SLIDING if window else _FULL,))
    if unknown := kinds - {_FULL, _SLIDING}:
        raise NotImplementedError(f"layers of the kind {sorted(unknown)[0]}")
    if _SLIDING in kinds and not window:
        raise NotImplementedError("a window of unknown size")
    return {kind: window if kind == _SLIDING else None for kind in sorted(kinds)}


def _seen(packing: Packing, cache: Cache | None, kind: str, window: int | None) -> Tensor:
    if cache is None:
        return packing.seen(0, window=window)
    width = packing.ids.shape[1]
    sliding = [bool(getattr(layer, "is_sliding", False)) for layer in cache.layers]
    layer = sliding.index(kind == _SLIDING) if (kind == _SLIDING) in sliding else 0
    n_keys, _ = cache.get_mask_sizes(width, layer)
    return packing.seen(cache.get_seq_length(), n_kept=n_keys - width, window=window)


def _usable(model: Model, seen: Tensor) -> Tensor:
    """In the form that this model's attention takes: true = seen, or what is added to its scores."""
    kind = getattr(model.config.get_text_config(), "_attn_implementation", "eager")
    seen = seen.to(model.device)
    if kind == "sdpa":
        return seen
    if kind == "eager":
        shut_out = torch.finfo(model.dtype).min
        return torch.zeros(seen.shape, dtype=model.dtype, device=seen.device).masked_fill(~seen, shut_out)
    raise NotImplementedError(f"attention '{kind}' takes no mask of ours")
