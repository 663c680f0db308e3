"""How much may go into one forward pass, so that it fits into memory: an estimate.

What counts, of the language model: activations of one layer, keys and values of all layers, the mask with its
attention scores; of the vision encoder, which is done before the language model begins: activations of one layer, and
the outputs of all layers, which some models keep. Weights are not counted, they are there already.

The encoder's part was measured on the CPU (12 layers, 768 wide, 1024 patches an image, estimate 108 MB an image): an
image more cost 111 MB in LLaVA, 49 MB in Idefics3. The language model's part was not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from judge.engines.model_interface import Model

_CPU_BYTES = 1 << 30
_CHANNELS = 3
_GPU_SHARE = 0.4
"""Of the memory that is free when the model stands; the rest is for fragmentation and what the estimate leaves out."""


@dataclass(frozen=True, slots=True)
class PassBudget:
    """Sizes of forward passes of one model.

    Attributes:
        max_bytes: For one pass.
        token_bytes: Of one token: its activations, and its keys and values in all layers.
        pair_bytes: Of one query-key pair: mask and scores.
        max_rows: Never more rows than this, whatever the memory.
        wide_tokens: Longer packed rows cost more in attention than a second pass does.
        patch_bytes: Of one patch in the vision encoder; 0 = not known.
        patch_values: Pixel values in a patch.
    """

    max_bytes: int
    token_bytes: int
    pair_bytes: int
    max_rows: int
    wide_tokens: int = 1 << 20
    patch_bytes: int = 0
    patch_values: int = 1

    def images(self, n_prefix: int, n_pixels: int = 0) -> int:
        """Prefixes that run as one batch; at least one.

        Args:
            n_prefix: Tokens in a prefix.
            n_pixels: Pixel values that the vision encoder gets for it, of all its images and their tiles.
        """
        encoded = max(1, n_pixels * self.patch_bytes // self.patch_values)
        return max(1, min(self.rows(max(1, n_prefix), 0), self.max_bytes // encoded))

    def rows(self, n_tokens: int, n_prefix: int) -> int:
        """Rows of `n_tokens` new tokens, each with its own copy of a prefix; at least one."""
        each = self._bytes(n_tokens, n_prefix) + n_prefix * self.token_bytes
        return max(1, min(self.max_rows, self.max_bytes // each))

    def questions(self, n_tokens: int, n_prefix: int, n_rows: int) -> int:
        """Questions of up to `n_tokens` that fit into each of `n_rows` packed rows; at least one."""
        count = 1
        while (
            2 * count * n_tokens <= self.wide_tokens
            and n_rows * self._bytes(2 * count * n_tokens, n_prefix) <= self.max_bytes
        ):
            count *= 2
        return count

    def _bytes(self, n_tokens: int, n_prefix: int) -> int:
        return n_tokens * self.token_bytes + n_tokens * (n_prefix + n_tokens) * self.pair_bytes


def pass_budget(model: Model, *, memory_mb: int | None, max_rows: int) -> PassBudget:
    """The budget of a loaded model.

    Args:
        memory_mb: For one pass; None = 1 GiB on the CPU, a share of what is free on a GPU.
        max_rows: Upper limit of rows in one pass.
    """
    config: Any = model.config.get_text_config()
    width, layers = int(config.hidden_size), int(config.num_hidden_layers)
    heads = int(getattr(config, "num_attention_heads", 1))
    key_heads = int(getattr(config, "num_key_value_heads", None) or heads)
    head_width = int(getattr(config, "head_dim", None) or width // heads)
    inner = int(getattr(config, "intermediate_size", None) or 4 * width)
    size = torch.finfo(model.dtype).bits // 8
    activations = 6 * width + 3 * inner + 2 * (heads + 2 * key_heads) * head_width
    # Keys and values twice: the cache is extended by copying it.
    token_bytes = size * (activations + 4 * layers * key_heads * head_width)
    pair_bytes = 2 * size + 4 * heads
    # A token costs 2 N operations in the weights and 4 L d T in attention over T others: here that is a third of it.
    weights = layers * (4 * width * heads * head_width + 3 * width * inner)
    wide_tokens = max(256, weights // (6 * layers * width))
    patch_bytes, patch_values = _patch(model, size)
    return PassBudget(
        _max_bytes(model.device, memory_mb), token_bytes, pair_bytes, max_rows, wide_tokens, patch_bytes, patch_values
    )


def _patch(model: Model, size: int) -> tuple[int, int]:
    """Bytes in the vision encoder, and pixel values; no bytes where its configuration does not tell its sizes."""
    config: Any = getattr(model.config, "vision_config", None)
    width = getattr(config, "embed_dim", None) or getattr(config, "hidden_size", None)
    sides = getattr(config, "patch_size", None)
    if not isinstance(width, int) or not sides:
        return 0, 1
    layers = getattr(config, "num_hidden_layers", None) or getattr(config, "depth", None) or 1
    inner = getattr(config, "intermediate_size", None) or 4 * width
    height, across = sides if isinstance(sides, (list, tuple)) else (sides, sides)
    frames = getattr(config, "temporal_patch_size", None) or 1
    return size * ((12 + layers) * width + 3 * inner), _CHANNELS * frames * height * across


def _max_bytes(device: torch.device, memory_mb: int | None) -> int:
    if memory_mb is not None:
        return memory_mb << 20
    if device.type != "cuda":
        return _CPU_BYTES
    free, _ = torch.cuda.mem_get_info(device)
    return max(1 << 28, int(free * _GPU_SHARE))
