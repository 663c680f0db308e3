"""Whether a model's tokens see the later ones: then no prefix can be shared, however close the numbers come.

Comparing two ways to the same answer does not tell in half precision: what is allowed there for rounding hides it.
"""

from __future__ import annotations

import torch

from judge.engines.encoding import FrameGroup
from judge.engines.model_interface import Model
from judge.engines.shared_prefix import forget_positions, forward_at, to_device


def sees_later_tokens(model: Model, group: FrameGroup) -> bool:
    """Change the last token of the first prompt, and look at the logits of the one before.

    Both passes are of the same shape, so a causal model gives the same bits; one unit of rounding is allowed for
    experts that compute in other groups.
    """
    ids = group.head + group.tails[0]
    other = next((token for token in reversed(ids) if token != ids[-1]), ids[-1])
    before, after = (_logits_before_last(model, group, (*ids[:-1], last)) for last in (ids[-1], other))
    rounding = torch.finfo(model.dtype).eps * float(before.abs().max())
    return float((before - after).abs().max()) > rounding


def _logits_before_last(model: Model, group: FrameGroup, ids: tuple[int, ...]) -> torch.Tensor:
    tokens = torch.tensor([ids])
    inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), **group.token_types, **group.images}
    forget_positions(model)
    position = torch.tensor([len(ids) - 2])
    return forward_at(model, to_device(model, inputs), position, use_cache=False).logits[0].float()
