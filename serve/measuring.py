"""Where the figures come from: around the application and around the backend, so that no route knows of them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from judge.constitution import Constitution
from judge.errors import ConfigError, JudgeError
from serve.backend import Backend, ModelCard, Reply, Work
from serve.context import Policies
from serve.metrics import INLINE, UNKNOWN, Metrics

_CLIENT_GONE = 499
"""As the log says it."""
_MOST_LABELS = 256


class Measuring:
    """ASGI middleware: counts requests."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began_s, status = time.perf_counter(), 0

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._metrics.request_under_way():
            try:
                await self._app(scope, receive, noting)
            finally:
                spent_s = time.perf_counter() - began_s
                self._metrics.observe_request(scope["method"], route_of(scope), status or _CLIENT_GONE, spent_s)


class MeasuredBackend:
    """A backend whose replies are counted.

    Args:
        policies: The service's own constitutions, whose names and rules may be labels.
    """

    def __init__(self, backend: Backend, metrics: Metrics, policies: Policies) -> None:
        self._backend = backend
        self._metrics = metrics
        self._policies = policies
        self._labels: OrderedDict[str, str] = OrderedDict()

    async def judge(self, work: Work) -> AsyncGenerator[Reply, None]:
        """As `Backend.judge`."""
        label = await self._label(work.constitution)
        with self._metrics.media_under_way():
            try:
                async with aclosing(self._backend.judge(work)) as replies:
                    async for reply in replies:
                        if reply.final:
                            self._metrics.observe_reply(reply, label)
                        yield reply
            except JudgeError as error:
                self._metrics.observe_failure(error.code)
                raise

    async def models(self) -> tuple[ModelCard, ...]:
        return await self._backend.models()

    async def check(self) -> None:
        await self._backend.check()

    async def close(self) -> None:
        await self._backend.close()

    async def _label(self, constitution: Constitution) -> str:
        """Its name if the service has it; whoever sends one of the same name does not get into its figures."""
        known = self._labels.get(constitution.digest)
        if known is not None:
            return known
        try:
            own = await self._policies.get(constitution.name, constitution.version)
            label = own.name if own.digest == constitution.digest else INLINE
        except ConfigError:
            label = INLINE
        except JudgeError:
            return UNKNOWN  # the store cannot be asked now; that is no reason to judge nothing
        self._labels[constitution.digest] = label
        if len(self._labels) > _MOST_LABELS:
            self._labels.popitem(last=False)
        return label


def route_of(scope: Scope) -> str:
    """The template of the path that was asked for; empty if there is none."""
    return str(getattr(scope.get("route"), "path", ""))
