"""Calls of other deployments: side by side if need be, ended when their caller is, and with our errors, not Ray's."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextvars import Context
from typing import Any

from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    RayActorError,
    RayTaskError,
    TaskCancelledError,
    WorkerCrashedError,
)
from ray.serve.exceptions import BackPressureError, RayServeException, ReplicaUnavailableError

from judge.errors import EngineError, JudgeError
from serve.problems import Overloaded

_LOG = logging.getLogger(__name__)
_DIED = (
    NodeDiedError, ObjectLostError, RayActorError, ReplicaUnavailableError, TaskCancelledError, WorkerCrashedError,
)  # fmt: skip
"""A replica that ends cancels what it had not begun; a call that was cancelled from here never gets this far."""


class ReplicaDied(EngineError):
    """The replica ended before it had answered; another one may answer."""


async def ask(handle: Any, *args: object, **fields: object) -> Any:
    """The answer of `handle.remote(...)`.

    Raises:
        ReplicaDied: The replica ended, or was not there.
        Overloaded: The queue is full; nothing was done.
        JudgeError: As the replica raised it; anything else that it raised is an `EngineError`.
    """
    response = _call(handle, args, fields)
    try:
        return await response
    except asyncio.CancelledError:
        response.cancel()  # outside the request's context Ray does not do it
        raise
    except Exception as error:
        raise to_judge_error(error) from error


async def ask_stream(handle: Any, *args: object) -> AsyncGenerator[Any, None]:
    """The same for a handle with `stream=True`."""
    response = _call(handle, args, {})
    ended = False
    try:
        async for each in response:
            yield each
        ended = True
    except Exception as error:
        ended = True
        raise to_judge_error(error) from error
    finally:
        if not ended:
            response.cancel()


def to_judge_error(error: Exception) -> JudgeError:
    """What a caller is told of an error of Ray, whose text holds the other process's traceback."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(cause, JudgeError):
        return cause
    if isinstance(cause, BackPressureError):
        return Overloaded("there is more to do than may wait")
    if isinstance(cause, _DIED):
        return ReplicaDied("a part of the service ended while it worked")
    if isinstance(cause, RayServeException):
        return EngineError("a part of the service is not running", hint="look into its log")
    _LOG.error("unforeseen error of a replica", exc_info=error)
    return EngineError("a part of the service failed", hint="look into its log")


def _call(handle: Any, args: tuple[object, ...], fields: dict[str, object]) -> Any:
    """In an empty context. Ray 2.60 else gives every call out of one request the same internal id, by which its
    consistent-hash router finds waiting calls again: of two at the same time, one would wait for ever.
    """
    return Context().run(handle.remote, *args, **fields)
