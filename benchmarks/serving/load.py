"""Callers: a fixed number of them, each with its next picture as soon as it has an answer, or so many a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx

PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Answered:
    """One request. `status` 0 = no answer; `problem` = what is wrong with it, where something is."""

    status: int
    ms: float
    problem: str = ""


async def closed(url: str, pictures: Sequence[bytes], callers: int) -> tuple[float, list[Answered]]:
    """Seconds for all, and each."""
    todo = iter(pictures)
    async with _client(url) as client:
        began_s = time.perf_counter()
        found = await asyncio.gather(*(_one_caller(client, todo) for _ in range(callers)))
        return time.perf_counter() - began_s, [each for own in found for each in own]


async def opened(url: str, pictures: Sequence[bytes], per_s: float, seconds: float) -> list[Answered]:
    """Requests that do not wait for each other; the pictures over and over."""
    async with _client(url) as client:
        began_s = time.perf_counter()
        tasks: list[asyncio.Task[Answered]] = []
        while (late := time.perf_counter() - began_s) < seconds:
            while len(tasks) < late * per_s:
                tasks.append(asyncio.create_task(_ask(client, pictures[len(tasks) % len(pictures)])))
            await asyncio.sleep(1 / per_s)
        return list(await asyncio.gather(*tasks))


async def _one_caller(client: httpx.AsyncClient, todo: Iterator[bytes]) -> list[Answered]:
    return [await _ask(client, data) for data in todo]


async def _ask(client: httpx.AsyncClient, data: bytes) -> Answered:
    began_s = time.perf_counter()
    try:
        answer = await client.post("/v1/judge", files={"media": ("picture.png", data)})
    except httpx.HTTPError as error:
        return Answered(0, (time.perf_counter() - began_s) * 1000, type(error).__name__)
    return Answered(answer.status_code, (time.perf_counter() - began_s) * 1000, _problem(answer))


def _problem(answer: httpx.Response) -> str:
    if answer.status_code == 200:
        (result,) = answer.json()["results"]
        return "" if result["verdict"] is not None and not result["cached"] else "no verdict of its own"
    if answer.status_code == 429:
        return "" if "retry-after" in answer.headers else "429 without Retry-After"
    return f"status {answer.status_code}"


def _client(url: str) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
    return httpx.AsyncClient(base_url=url, timeout=PATIENCE_S, limits=limits, trust_env=False)
