"""The real gateway over the real `JudgeService`, in this process: with the embedded model, or with scripted answers."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import httpx
from PIL import Image

from judge.assets import sample_media_path
from judge.config import JudgeConfig
from judge.engines.base import YES_NO
from judge.engines.build import build_engine
from judge.engines.scripted import ScriptedEngine
from judge.types import ChoiceProbabilities, Prompt
from serve.backend import Backend, Reply, Work
from serve.context import Context
from serve.gate import build_gate
from serve.gateway import create_gateway
from serve.service import JudgeService
from serve.settings import ServeSettings
from serve.urls import media_permissions
from tests.media.making import encode

KEY, OTHER_KEY, ADMIN_KEY = "key-of-a-judge", "key-of-another-judge", "key-of-an-admin"
RED, BLUE = (200, 30, 30), (30, 30, 200)


def settings(**groups: Any) -> ServeSettings:
    """Open, unless the groups say otherwise."""
    return ServeSettings.model_validate({"auth": {"mode": "open"}, **groups})


def with_keys(**auth: Any) -> dict[str, Any]:
    """`auth` with three keys."""
    scopes = {KEY: ["judge"], OTHER_KEY: ["judge"], ADMIN_KEY: ["judge", "admin"]}
    keys = [{"name": key, "sha256": digest(key), "scopes": may} for key, may in scopes.items()]
    return {"keys": keys, **auth}


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@cache
def embedded_service() -> JudgeService:
    """One model for every test of the process."""
    config = JudgeConfig()
    return JudgeService(build_engine(config.engine), config)


def scripted_service(engine: ScriptedEngine | None = None, asked: ServeSettings | None = None) -> JudgeService:
    chosen = asked or settings()
    return JudgeService(
        engine or ScriptedEngine(default=0.01), chosen.judge, permissions=media_permissions(chosen.http)
    )


def context(backend: Backend | None = None, asked: ServeSettings | None = None) -> Context:
    chosen = asked or settings()
    return Context(chosen, backend or scripted_service(asked=chosen), gate=build_gate(chosen))


@asynccontextmanager
async def client_of(given: Context) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_gateway(given), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


@asynccontextmanager
async def client(
    backend: Backend | None = None, asked: ServeSettings | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(context(backend, asked)) as made:
        yield made


def picture(color: tuple[int, int, int] = BLUE) -> bytes:
    return encode(Image.new("RGB", (8, 8), color), "PNG")


def sample(name: str) -> bytes:
    return (sample_media_path("demo") / name).read_bytes()


def item(data: bytes, **more: str) -> dict[str, str]:
    return {"data": base64.b64encode(data).decode(), **more}


def asks(*media: bytes, **options: Any) -> dict[str, Any]:
    """A JSON body."""
    return {"media": [item(data) for data in media], **options}


def first_pixel(prompt: Prompt) -> tuple[int, ...]:
    return tuple(int(value) for value in prompt.frames[0].image[0, 0])


class WaitingEngine(ScriptedEngine):
    """Answers about red pictures only when told; until then it waits, and remembers if it was stopped."""

    def __init__(self) -> None:
        super().__init__(default=0.01)
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.stopped = asyncio.Event()
        self.n_waiting = 0

    async def choose(self, prompts: Sequence[Prompt], choices: Sequence[str] = YES_NO) -> list[ChoiceProbabilities]:
        if any(prompt.frames and first_pixel(prompt) == RED for prompt in prompts):
            self.n_waiting += 1
            self.asked.set()
            try:
                await self.may_answer.wait()
            except asyncio.CancelledError:
                self.stopped.set()
                raise
        return await super().choose(prompts, choices)


class RaisingBackend(JudgeService):
    """Raises instead of judging: what a replica far away may do."""

    def __init__(self, error: Exception) -> None:
        super().__init__(ScriptedEngine(default=0.01), JudgeConfig())
        self._error = error

    async def judge(self, work: Work) -> AsyncGenerator[Reply, None]:
        raise self._error
        yield  # makes it a generator

    async def check(self) -> None:
        raise self._error


class HangingBackend(JudgeService):
    """Never replies, and knows no deadline."""

    def __init__(self) -> None:
        super().__init__(ScriptedEngine(default=0.01), JudgeConfig())
        self.stopped = asyncio.Event()

    async def judge(self, work: Work) -> AsyncGenerator[Reply, None]:
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped.set()
        yield  # makes it a generator

    async def check(self) -> None:
        await asyncio.Event().wait()
