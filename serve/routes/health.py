"""`GET /healthz`: the process answers. `GET /readyz`: the models do. Both without a key."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Literal

from fastapi import APIRouter

from judge.errors import EngineError, JudgeError
from judge.types import Wire
from serve.backend import Backend
from serve.context import Context
from serve.openapi import errors

_LOG = logging.getLogger(__name__)
_KEPT_S = 1.0
"""How long one finding serves everybody who asks: the models are not asked more often."""
_PATIENCE_S = 10.0


class Health(Wire):
    """All is well."""

    status: Literal["ok"] = "ok"
    """Always `ok`; what is not well is an error."""


def router(context: Context) -> APIRouter:
    routes = APIRouter(tags=["health"])
    readiness = Readiness(context.backend)

    @routes.get("/healthz")
    async def alive() -> Health:
        """Whether the process answers; the models are not asked."""
        return Health()

    @routes.get("/readyz", responses=errors(503))
    async def ready() -> Health:
        """Whether every model answers."""
        await readiness.check()
        return Health()

    return routes


class Readiness:
    """What the backend said last, and when."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._asking = asyncio.Lock()
        self._asked_s = -_KEPT_S
        self._found: JudgeError | None = None

    async def check(self) -> None:
        """Raises `EngineError` if a model does not answer."""
        async with self._asking:
            if time.monotonic() - self._asked_s >= _KEPT_S:
                self._found = await self._ask()
                self._asked_s = time.monotonic()
        if self._found is not None:
            raise self._found

    async def _ask(self) -> JudgeError | None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._backend.check()
        except TimeoutError:
            return EngineError("a model took too long to answer")
        except JudgeError as error:
            return error
        except Exception as error:
            _LOG.exception("a model cannot be asked", exc_info=error)
            return EngineError("a model cannot be asked")
        return None
