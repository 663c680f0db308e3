"""Equal work that is wanted several times at once is done once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from copy import copy
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Run(Generic[T]):
    items: list[T] = field(default_factory=list)
    ended: bool = False
    error: Exception | None = None
    n_followers: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class SharedRuns(Generic[T]):
    """Runs by key, while they run: each goes on until its last follower has left."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run[T]] = {}

    async def follow(self, key: str, start: Callable[[], AsyncGenerator[T, None]]) -> AsyncGenerator[T, None]:
        """Everything that the run of this key gives, from its beginning; `start` begins one if there is none.

        Raises:
            Exception: What the run raised, to every follower.
        """
        run = self._runs.get(key) or self._begin(key, start)
        run.n_followers += 1
        place = 0
        try:
            while True:
                while place < len(run.items):
                    yield run.items[place]
                    place += 1
                if run.error is not None:
                    raise copy(run.error) from run.error  # one object raised in several tasks mixes their tracebacks
                if run.ended:
                    return
                await run.changed.wait()
        finally:
            run.n_followers -= 1
            if not run.n_followers and not run.ended:
                self._forget(key, run)
                assert run.task is not None
                run.task.cancel()

    def _begin(self, key: str, start: Callable[[], AsyncGenerator[T, None]]) -> _Run[T]:
        run = self._runs[key] = _Run[T]()
        run.task = asyncio.create_task(self._drive(key, run, start()))
        return run

    async def _drive(self, key: str, run: _Run[T], items: AsyncGenerator[T, None]) -> None:
        try:
            async with aclosing(items):
                async for each in items:
                    run.items.append(each)
                    run.tell()
        except Exception as error:
            run.error = error
        finally:
            run.ended = True
            self._forget(key, run)
            run.tell()

    def _forget(self, key: str, run: _Run[T]) -> None:
        if self._runs.get(key) is run:
            del self._runs[key]
