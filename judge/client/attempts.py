"""When a call is tried again, and when there is no time left for it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from judge.client.calls import refusal
from judge.client.errors import ClientError, OutOfTime, RateLimited, Unavailable, UnreadableAnswer

_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 10.0
_CONNECT_S = 10.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one call, all its tries and pauses together."""

    timeout_s: float
    max_retries: int


class Attempts:
    """The tries of one call; time runs from the first."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._ends_at = time.monotonic() + limits.timeout_s
        self._failed = 0

    def left_s(self) -> float:
        """Raises `OutOfTime` if there is nothing left."""
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise out_of_time(self._limits.timeout_s)
        return left

    def timeout(self) -> httpx.Timeout:
        """For the next try. Raises `OutOfTime`."""
        left = self.left_s()
        return httpx.Timeout(left, connect=min(left, _CONNECT_S))

    def pause_s(self, error: ClientError) -> float:
        """How long to wait before the next try: longer each time, never less than the service asked for.

        Raises:
            ClientError: `error` itself, if trying again is of no use, or there is no time or try left.
        """
        self._failed += 1
        if not isinstance(error, RateLimited | Unavailable) or self._failed > self._limits.max_retries:
            raise error
        growing = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2.0 ** (self._failed - 1))
        # Callers that were refused together do not come back together.
        pause = max(growing, error.retry_after_s or 0.0) + random.uniform(0.0, growing / 2)
        if time.monotonic() + pause >= self._ends_at:
            raise error
        return pause

    @asynccontextmanager
    async def limiting(self) -> AsyncIterator[None]:
        """Cancels what is done inside at the end of the time. Raises `OutOfTime` then."""
        try:
            async with asyncio.timeout(self.left_s()):
                yield
        except TimeoutError as error:
            raise out_of_time(self._limits.timeout_s) from error

    @contextmanager
    def translating(self) -> Iterator[None]:
        """Errors of httpx become ours."""
        try:
            yield
        except (httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise Unavailable("the service cannot be reached in time") from error
        except httpx.TimeoutException as error:
            raise out_of_time(self._limits.timeout_s) from error
        except httpx.UnsupportedProtocol as error:
            raise UnreadableAnswer("the service's address is not http or https") from error
        except httpx.TransportError as error:
            hint = "check the address, and that the service runs"
            raise Unavailable("the service cannot be reached, or broke off", hint=hint) from error
        except httpx.RequestError as error:
            raise UnreadableAnswer("the answer cannot be decoded") from error


def out_of_time(timeout_s: float) -> OutOfTime:
    return OutOfTime(f"there was no answer within {timeout_s:g} s", hint="give a larger timeout_s, or less media")


def refused(response: httpx.Response) -> ClientError:
    """The answer, read, as an error."""
    return refusal(
        response.status_code, response.content, response.headers.get("x-request-id", ""),
        retry_after_s(response.headers.get("retry-after", "")),
    )  # fmt: skip


def retry_after_s(value: str) -> float | None:
    """Seconds, or a date of HTTP; None if it is neither."""
    try:
        return max(0.0, float(value)) if value[:1].isdigit() else _until(value)
    except (ValueError, TypeError):
        return None


def _until(value: str) -> float:
    at = parsedate_to_datetime(value)
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
