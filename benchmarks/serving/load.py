"""Callers: a fixed number of them, each with its next picture as soon as it has an answer, or so many a second."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import aiohttp

PATIENCE_S = 120.0
_TYPE = {"Content-Type": "multipart/form-data; boundary=part"}
_HEAD = b'--part\r\nContent-Disposition: form-data; name="media"; filename="picture.png"\r\n\r\n'
_TAIL = b"\r\n--part--\r\n"


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


async def _one_caller(client: aiohttp.ClientSession, todo: Iterator[bytes]) -> list[Answered]:
    return [await _ask(client, data) for data in todo]


async def _ask(client: aiohttp.ClientSession, data: bytes) -> Answered:
    began_s = time.perf_counter()
    try:
        async with client.post("/v1/judge", data=_HEAD + data + _TAIL, headers=_TYPE) as answer:
            body = await answer.read()
    except (aiohttp.ClientError, TimeoutError) as error:
        return Answered(0, (time.perf_counter() - began_s) * 1000, type(error).__name__)
    return Answered(answer.status, (time.perf_counter() - began_s) * 1000, _problem(answer, body))


def _problem(answer: aiohttp.ClientResponse, body: bytes) -> str:
    if answer.status == 200:
        (result,) = json.loads(body)["results"]
        return "" if result["verdict"] is not None and not result["cached"] else "no verdict of its own"
    if answer.status == 429:
        return "" if "retry-after" in answer.headers else "429 without Retry-After"
    return f"status {answer.status}"


def _client(url: str) -> aiohttp.ClientSession:
    """Not the usual httpx: in one process with the load it took 2 ms of processor time for a request, this one 0.6."""
    return aiohttp.ClientSession(
        base_url=url, timeout=aiohttp.ClientTimeout(PATIENCE_S), connector=aiohttp.TCPConnector(limit=0)
    )
