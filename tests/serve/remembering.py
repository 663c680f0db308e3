"""The gateway with a store, over the real service; the jobs run in this process if a test starts them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, select

from judge.client.wire import JudgeResult
from judge.config import JudgeConfig
from judge.engines.scripted import ScriptedEngine
from judge.media.dial import PUBLIC_INTERNET, Network
from judge.media.reference import InlineMedia
from serve.assembly import build_context
from serve.backend import Backend, Reply, Work
from serve.context import Context
from serve.jobs.running import start_jobs
from serve.routes.judging import to_result
from serve.running import last_reply
from serve.service import JudgeService
from serve.store.models import Base
from serve.store.opening import Store
from tests.media.clips import clip

from .gateways import client_of, scripted_service, settings

PATIENCE_S = 60.0


def video(first: int = 0) -> bytes:
    """A tiny clip; another number = another clip."""
    return clip(n_frames=6, first=first)


@asynccontextmanager
async def remembering(folder: Path, backend: Backend | None = None, **groups: Any) -> AsyncIterator[Context]:
    """A context whose store lies in the folder; without workers unless the groups say so."""
    jobs = {"workers": 0, **groups.pop("jobs", {})}
    asked = settings(store={"folder": folder, **groups.pop("store", {})}, jobs=jobs, **groups)
    made = build_context(asked, backend or scripted_service(asked=asked))
    with closing(store_of(made)):
        yield made


@asynccontextmanager
async def working(context: Context, network: Network = PUBLIC_INTERNET) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway while jobs run; failed ones begin again at once."""
    jobs = start_jobs(context, network=network, first_pause_s=0.01)
    try:
        async with client_of(context) as http:
            yield http
    finally:
        await jobs.close()


def store_of(context: Context) -> Store:
    assert context.store is not None
    return context.store


def count(store: Store, table: type[Base]) -> int:
    return store.database.read_now(lambda session: session.scalar(select(func.count()).select_from(table))) or 0


def waiting_files(folder: Path) -> list[str]:
    kept = folder / "waiting"
    return sorted(path.name for path in kept.iterdir()) if kept.exists() else []


async def submit(
    http: httpx.AsyncClient, data: bytes, headers: dict[str, str] | None = None, name: str = "clip.mp4", **options: Any
) -> httpx.Response:
    form = {"options": json.dumps(options)}
    return await http.post("/v1/video/jobs", files={"video": (name, data)}, data=form, headers=headers)


async def started(http: httpx.AsyncClient, data: bytes, **options: Any) -> str:
    answer = await submit(http, data, **options)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["JobId"])


async def ended(http: httpx.AsyncClient, id: str, **params: Any) -> dict[str, Any]:
    """The job, as soon as it is no longer in progress."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            answer = await http.get(f"/v1/video/jobs/{id}", params=params)
            assert answer.status_code == 200, answer.text
            job: dict[str, Any] = answer.json()
            if job["JobStatus"] != "IN_PROGRESS":
                return job
            await asyncio.sleep(0.02)


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not found():
            await asyncio.sleep(0.02)


async def result_in(context: Context) -> JudgeResult:
    """What the service says of a clip."""
    work = Work(InlineMedia(data=video()), "clip", await context.policies.get("stickers"))
    return to_result(await last_reply(context.backend, work), explain=True)


class FailingBackend(JudgeService):
    """Raises the errors one after the other, then judges as usual."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__(ScriptedEngine(default=0.01), JudgeConfig())
        self.errors = list(errors)
        self.asked: list[str] = []

    async def judge(self, work: Work) -> AsyncGenerator[Reply, None]:
        self.asked.append(work.name)
        if self.errors:
            raise self.errors.pop(0)
        async for reply in super().judge(work):
            yield reply
