"""Calls through Ray handles that may go side by side, and end when their caller is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextvars import Context
from typing import Any


async def ask(handle: Any, *args: object, **fields: object) -> Any:
    """The answer of `handle.remote(...)`.

    The call gets an empty context. Ray 2.60 else gives every call out of one request the same internal id, by which
    its consistent-hash router finds waiting calls again: of two at the same time, one would wait for ever.
    """
    response = Context().run(handle.remote, *args, **fields)
    try:
        return await response
    except asyncio.CancelledError:
        response.cancel()  # outside the request's context Ray does not do it
        raise


async def ask_stream(handle: Any, *args: object) -> AsyncGenerator[Any, None]:
    """The same for a handle with `stream=True`."""
    response = Context().run(handle.remote, *args)
    ended = False
    try:
        async for each in response:
            yield each
        ended = True
    finally:
        if not ended:
            response.cancel()
