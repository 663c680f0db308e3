"""The part of vLLM's untyped interface that we use. Nothing is imported from it here."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

Media = Mapping[str, Any]
"""Prepared pictures with the token ids in front of the questions, as vLLM's renderer returns them."""


class TokenLogprob(Protocol):
    logprob: float


class Completion(Protocol):
    token_ids: Sequence[int]
    logprobs: Sequence[Mapping[int, TokenLogprob]] | None
    finish_reason: str | None


class RequestOutput(Protocol):
    outputs: Sequence[Completion]


class Renderer(Protocol):
    async def render_cmpl_async(self, prompts: Sequence[Media], *, skip_mm_cache: bool) -> list[Media]: ...


class AsyncLLM(Protocol):
    """The part of `vllm.v1.engine.async_llm.AsyncLLM` that is needed here."""

    renderer: Renderer
    vllm_config: Any

    def generate(self, prompt: Media, params: object, request_id: str) -> AsyncIterator[RequestOutput]: ...

    async def reset_prefix_cache(self) -> bool: ...

    async def reset_mm_cache(self) -> None: ...

    async def reset_encoder_cache(self) -> None: ...

    async def sleep(self, level: int) -> None: ...

    async def wake_up(self) -> bool: ...
