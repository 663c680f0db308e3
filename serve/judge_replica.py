"""The pipeline, as replicas hold it, and the backend that calls them. Plain; `serve.app` makes a deployment of it."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from copy import copy
from typing import TYPE_CHECKING

from judge.errors import EngineError
from judge.media.reference import InlineMedia
from serve.backend import ModelCard, Reply, Work
from serve.calls import ReplicaDied, ask, ask_stream
from serve.engine_replica import EngineDescription, EngineReplica
from serve.parcel import Packer, Parcel
from serve.remote_engine import RemoteEngine
from serve.service import JudgeService
from serve.settings import ServeSettings

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

_LOG = logging.getLogger(__name__)
_ATTEMPTS = 2
"""Judge replicas asked before a request has failed: the one that died, and another."""


class JudgeReplica:
    """Runs the pipeline over engines behind handles.

    Args:
        engine: The judge's own model; None = it is loaded here.
        panel: The models of `JudgeConfig.panel`, by name.
    """

    def __init__(
        self,
        settings: ServeSettings,
        engine: DeploymentHandle | None,  # type: ignore[type-arg]
        panel: Mapping[str, DeploymentHandle],  # type: ignore[type-arg]
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._panel = panel
        self._own = EngineReplica(settings.judge.engine, settings.batch_wait_ms) if engine is None else None
        self._service: JudgeService | None = None
        self._packer = Packer()
        self._starting = asyncio.Lock()

    async def judge(self, parcel: Parcel) -> Reply:
        """The final reply of `JudgeService.judge`."""
        last: Reply | None = None
        service = await self._ready()
        async for reply in service.judge(self._packer.open(parcel)):
            last = reply
        assert last is not None
        return last

    async def refine(self, parcel: Parcel) -> AsyncGenerator[Reply, None]:
        """Every reply."""
        service = await self._ready()
        async for reply in service.judge(self._packer.open(parcel)):
            yield reply

    async def models(self) -> tuple[ModelCard, ...]:
        return await (await self._ready()).models()

    async def check(self) -> None:
        await (await self._ready()).check()

    async def check_health(self) -> None:
        """Asks the model, if it is in this process; models elsewhere are asked where they are."""
        if self._own is not None:
            await self._own.check_health()

    async def _ready(self) -> JudgeService:
        """Built at the first call: engines may come up later than this replica."""
        async with self._starting:
            if self._service is None:
                self._service = await self._build()
        return self._service

    async def _build(self) -> JudgeService:
        own = self._own or await _remote(self._engine)
        panel = {name: await _remote(handle) for name, handle in self._panel.items()}
        notices = (*own.notices, *(notice for engine in panel.values() for notice in engine.notices))
        service = JudgeService.from_settings(self._settings, own, panel=panel, notices=notices)
        await service.start()
        return service


async def _remote(handle: DeploymentHandle | None) -> RemoteEngine:  # type: ignore[type-arg]
    assert handle is not None
    description: EngineDescription = await ask(handle.describe)
    return RemoteEngine(handle, description)


class RayBackend:
    """As `Backend`, over a handle to judge replicas. The same media goes to the same replica, whose cache knows it.

    To be used in one event loop.
    """

    def __init__(self, handle: DeploymentHandle) -> None:  # type: ignore[type-arg]
        # A handle of its own: Serve ends the one that it keeps itself, after the loop in which this one works.
        self._handle = copy(handle)
        self._packer = Packer()

    async def judge(self, work: Work) -> AsyncGenerator[Reply, None]:
        handle, parcel = self._handle.options(session_id=media_key(work)), self._packer.pack(work)
        for attempt in range(1, _ATTEMPTS + 1):
            told = False
            try:
                if not work.refine:
                    yield await ask(handle.judge, parcel)
                    return
                async with aclosing(ask_stream(handle.options(method_name="refine", stream=True), parcel)) as replies:
                    async for reply in replies:
                        told = True
                        yield reply
                return
            except ReplicaDied as error:
                _LOG.warning("a judge replica died under a request (attempt %d)", attempt)
                if told or attempt == _ATTEMPTS:
                    raise EngineError("the judge died under the request") from error

    async def models(self) -> tuple[ModelCard, ...]:
        cards: tuple[ModelCard, ...] = await self._ask("models")
        return cards

    async def check(self) -> None:
        await self._ask("check")

    async def close(self) -> None:
        """The replicas live on."""
        await self._handle.shutdown_async()  # type: ignore[no-untyped-call]

    async def _ask(self, method: str) -> tuple[ModelCard, ...]:
        answer: tuple[ModelCard, ...] = await ask(self._handle.options(method_name=method))
        return answer


def media_key(work: Work) -> str:
    """The same for the same media."""
    media = work.media
    if media is None:
        return _short_digest(_encoded(work.text))
    return _short_digest(media.data if isinstance(media, InlineMedia) else _encoded(media.url))


def _encoded(text: str) -> bytes:
    """JSON can spell half a character."""
    return text.encode("utf-8", "surrogatepass")


def _short_digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
