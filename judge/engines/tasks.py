"""Coroutines run together, and one run from code that is not asynchronous."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


async def together(jobs: Sequence[Coroutine[object, object, T]]) -> list[T]:
    """Results in order. The first error ends all others: their answers would be thrown away, but paid."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def run_in_thread(job: Coroutine[object, object, T]) -> T:
    """Wait for a coroutine, whether or not an event loop is running here."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, job).result()
