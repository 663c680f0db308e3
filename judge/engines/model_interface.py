"""The part of transformers' untyped interface that we use, described. Not here: loading (`loading`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from PIL.Image import Image
from torch import Tensor

from judge.engines.answer_tokens import Tokenizer


class Cache(Protocol):
    """Keys and values of a prefix: `(rows, ...)` in every layer."""

    layers: list[object]

    def get_seq_length(self) -> int: ...

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        """Keys that a query behind this layer's part of the prefix meets, and how many tokens it has dropped."""

    def reorder_cache(self, beam_idx: Tensor) -> None: ...


class Output(Protocol):
    """What a forward pass returns; `logits` is `(rows, positions kept, vocabulary)`."""

    logits: Tensor
    past_key_values: Cache


class ModelConfig(Protocol):
    def get_text_config(self) -> object: ...

    def to_json_string(self) -> str: ...


class Model(Protocol):
    config: ModelConfig
    generation_config: object
    base_model: object
    device: torch.device
    dtype: torch.dtype

    def forward(self, **inputs: object) -> Output: ...

    def __call__(self, **inputs: object) -> Output: ...

    def generate(self, **inputs: object) -> Tensor: ...


class ChatTokenizer(Tokenizer, Protocol):
    bos_token: str | None
    eos_token_id: int | None
    pad_token_id: int | None
    chat_template: object

    def apply_chat_template(
        self,
        conversation: Sequence[Mapping[str, object]],
        *,
        tokenize: bool,
        add_generation_prompt: bool,
        **options: object,
    ) -> str: ...


class Processor(Protocol):
    tokenizer: ChatTokenizer
    image_processor: object
    chat_template: object

    def apply_chat_template(
        self,
        conversation: Sequence[Mapping[str, object]],
        *,
        tokenize: bool,
        add_generation_prompt: bool,
        **options: object,
    ) -> str: ...

    def __call__(
        self, *, text: list[str], images: list[list[Image]] | None, return_tensors: str, add_special_tokens: bool
    ) -> Mapping[str, Tensor]: ...
