"""Calls of several requests become one engine call, for engines that do not batch by themselves.

Own code rather than `ray.serve.batch`: calls differ by their choices, a failed batch is asked again call by call, and
what was cancelled meanwhile is not asked at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from judge.engines.base import Engine
from judge.errors import EngineError
from judge.types import ChoiceProbabilities, Prompt


@dataclass(slots=True)
class _Call:
    prompts: Sequence[Prompt]
    choices: tuple[str, ...]
    answer: asyncio.Future[list[ChoiceProbabilities]]


class MicroBatcher:
    """Collects `choose` calls while the engine is busy, and for a moment when it is not.

    Args:
        wait_s: The moment.
        max_prompts: Most prompts of one engine call; a larger single call stays whole.
    """

    def __init__(self, engine: Engine, *, wait_s: float, max_prompts: int = 1024) -> None:
        self._engine = engine
        self._wait_s = wait_s
        self._max_prompts = max_prompts
        self._waiting: list[_Call] = []
        self._worker: asyncio.Task[None] | None = None

    async def choose(self, prompts: Sequence[Prompt], choices: Sequence[str]) -> list[ChoiceProbabilities]:
        """As `Engine.choose`. Raises what the engine raises about these prompts alone."""
        call = _Call(prompts, tuple(choices), asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await call.answer

    async def _work(self) -> None:
        await asyncio.sleep(self._wait_s)
        while self._waiting:
            batch = self._next()
            if batch:
                await self._ask(batch)

    def _next(self) -> list[_Call]:
        """The oldest calls with the same choices, in their order."""
        live = [call for call in self._waiting if not call.answer.done()]
        batch: list[_Call] = []
        room = self._max_prompts
        for call in live:
            if call.choices == live[0].choices and (not batch or len(call.prompts) <= room):
                batch.append(call)
                room -= len(call.prompts)
        taken = set(map(id, batch))
        self._waiting = [call for call in live if id(call) not in taken]
        return batch

    async def _ask(self, batch: Sequence[_Call]) -> None:
        try:
            answers = iter(await self._engine.choose([p for call in batch for p in call.prompts], batch[0].choices))
        except Exception as error:
            await self._failed(batch, error)
            return
        for call in batch:
            own = [next(answers) for _ in call.prompts]
            if not call.answer.done():
                call.answer.set_result(own)

    async def _failed(self, batch: Sequence[_Call], error: Exception) -> None:
        if len(batch) > 1 and isinstance(error, EngineError):
            for call in batch:
                if not call.answer.done():
                    await self._ask([call])
            return
        for call in batch:
            if not call.answer.done():
                call.answer.set_exception(error)
