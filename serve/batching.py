"""Puts calls of several requests together, for an engine that works on one batch at a time.

Not `serve.batch`: calls go together only if they ask for the same choices, a batch is bounded by prompts, not by calls,
and one call that fails must not spoil the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from judge.config import EngineConfig
from judge.engines.base import YES_NO, Capabilities, Engine, JsonSchema, ModelInfo
from judge.errors import EngineError
from judge.types import ChoiceProbabilities, Generation, Prompt

_BATCH_BY_THEMSELVES = frozenset({"vllm", "openai"})
_BATCHES = 4
"""Forward passes' worth of prompts in one call: a picture has more questions than one pass has rows."""


def batched(engine: Engine, config: EngineConfig, wait_ms: float) -> Engine:
    """The engine, with calls put together unless it does that by itself; `config` is resolved (`judge.profiles`)."""
    if config.name in _BATCH_BY_THEMSELVES:
        return engine
    return BatchingEngine(engine, most=_BATCHES * config.batch_size, wait_s=wait_ms / 1000.0)


@dataclass(frozen=True, slots=True)
class _Call:
    prompts: tuple[Prompt, ...]
    choices: tuple[str, ...]
    answers: asyncio.Future[list[ChoiceProbabilities]]


class BatchingEngine:
    """See `judge.engines.base.Engine` for the contract; `close` closes the engine inside.

    A call that is cancelled while it waits is never asked. Texts are written one call at a time, between batches.

    Args:
        most: Prompts in one batch; a larger call is asked alone.
        wait_s: How long an idle engine waits for more calls. A busy one gathers them meanwhile.
    """

    def __init__(self, engine: Engine, *, most: int, wait_s: float) -> None:
        self._engine = engine
        self._most = most
        self._wait_s = wait_s
        self._waiting: deque[_Call] = deque()
        self._turn = asyncio.Lock()
        self._asking: asyncio.Task[None] | None = None

    @property
    def capabilities(self) -> Capabilities:
        return self._engine.capabilities

    @property
    def info(self) -> ModelInfo:
        return self._engine.info

    async def choose(self, prompts: Sequence[Prompt], choices: Sequence[str] = YES_NO) -> list[ChoiceProbabilities]:
        call = _Call(tuple(prompts), tuple(choices), asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all())
        return await call.answers

    async def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        json_schema: JsonSchema | None = None,
    ) -> list[Generation]:
        async with self._turn:
            return await self._engine.generate(
                prompts, max_tokens=max_tokens, temperature=temperature, json_schema=json_schema
            )

    async def close(self) -> None:
        """Calls that still wait fail."""
        if self._asking is not None:
            self._asking.cancel()
            with suppress(asyncio.CancelledError):
                await self._asking
        for call in self._waiting:
            _fail(call, self._closed())
        self._waiting.clear()
        await self._engine.close()

    def _closed(self) -> EngineError:
        return EngineError(f"model '{self.info.name}' is closed")

    async def _ask_all(self) -> None:
        if self._wait_s and not self._turn.locked():
            await asyncio.sleep(self._wait_s)
        while self._waiting:
            async with self._turn:
                if batch := self._next_batch():
                    await self._ask(batch)

    def _next_batch(self) -> list[_Call]:
        """The calls that have waited longest and ask for the same choices; the others keep their order."""
        batch: list[_Call] = []
        later: list[_Call] = []
        n_prompts = 0
        while self._waiting:
            call = self._waiting.popleft()
            if call.answers.done():
                continue
            fits = not batch or (call.choices == batch[0].choices and n_prompts + len(call.prompts) <= self._most)
            (batch if fits else later).append(call)
            n_prompts += len(call.prompts) if fits else 0
        self._waiting.extend(later)
        return batch

    async def _ask(self, batch: Sequence[_Call]) -> None:
        """Never raises: what fails, fails in the calls."""
        try:
            answers = await self._engine.choose([p for call in batch for p in call.prompts], batch[0].choices)
        except asyncio.CancelledError:
            for call in batch:
                _fail(call, self._closed())
            raise
        except Exception as error:
            if len(batch) == 1:
                _fail(batch[0], error)
                return
            for call in batch:
                if not call.answers.done():
                    await self._ask([call])
            return
        for call in batch:
            mine, answers = answers[: len(call.prompts)], answers[len(call.prompts) :]
            if not call.answers.done():
                call.answers.set_result(mine)


def _fail(call: _Call, error: Exception) -> None:
    if not call.answers.done():
        call.answers.set_exception(error)
