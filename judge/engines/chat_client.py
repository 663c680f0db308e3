"""Posts requests to one chat-completions server: limited concurrency, retries, time and size limits, and no retries
for a server that is known to be gone.

Not here: what is in a request or an answer (`chat_format`). One address is ever asked, the configured one.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import certifi
import httpx
from pydantic import SecretStr

from judge.config import OpenAIOptions
from judge.engines.circuit_breaker import COOL_DOWN_S, CircuitBreaker
from judge.errors import ConfigError, EngineError

_MAX_ANSWER_BYTES = 8 << 20
_MAX_REASON_BYTES = 1 << 16
_MAX_REASON_CHARS = 300
_SHORTEST_SECRET = 6
_FIRST_WAIT_S = 0.5
_RETRIED = frozenset({408, 409, 429})
_HINTS = {
    400: "check the model's name, engine.openai.extra_body, and whether the server takes images and logprobs",
    401: "check the key in the environment variable that engine.openai.api_key_env names",
    403: "check the key in the environment variable that engine.openai.api_key_env names, and its rights",
    404: "check engine.openai.base_url, which ends in /v1 as a rule, and engine.model",
    413: "send smaller pictures or fewer frames",
    422: "check engine.openai.extra_body, and whether the server takes images and logprobs",
}
_REDIRECTED = "redirects are not followed; set engine.openai.base_url to the final address if you trust it"


class RequestRefused(EngineError):
    """The server will not answer this request, however often it is sent."""

    retryable = False

    def __init__(self, message: str, *, hint: str = "", status: int) -> None:
        super().__init__(message, hint=hint)
        self.status = status


@dataclass(frozen=True, slots=True)
class Patience:
    """How waiting is done; tests put their own in."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    uniform: Callable[[float, float], float] = random.uniform
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    clock: Callable[[], float] = time.monotonic

    def wait_s(self, attempt: int, retry_after: str, longest_s: float) -> float:
        """Exponential with full jitter, and not before the time that a Retry-After header gives; both capped."""
        ceiling_s = min(longest_s, _FIRST_WAIT_S * 2.0 ** (attempt - 1))
        return max(self.uniform(0.0, ceiling_s), min(longest_s, self._asked_s(retry_after)))

    def _asked_s(self, retry_after: str) -> float:
        """Seconds or an HTTP date; 0.0 for neither."""
        if re.fullmatch(r"[0-9]+(\.[0-9]+)?", retry_after.strip()):
            return float(retry_after)
        try:
            date = parsedate_to_datetime(retry_after)
        except (ValueError, TypeError, IndexError, OverflowError):
            return 0.0
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return max(0.0, (date - self.now()).total_seconds())


@dataclass(frozen=True, slots=True)
class _Failure:
    """An attempt that may go better next time."""

    reason: str
    retry_after: str = ""
    cause: Exception | None = None

    @property
    def unreachable(self) -> bool:
        return isinstance(self.cause, httpx.ConnectError)


@dataclass(slots=True)
class _Connections:
    """What belongs to one event loop: neither a connection nor a semaphore works in another."""

    client: httpx.AsyncClient
    slots: asyncio.Semaphore
    users: int = 0


class ChatClient:
    """Usable from several event loops, one after the other or at once.

    Connections live as long as some `session` of their loop is open: `asyncio.run` called again and again, without
    a chance to say goodbye, leaves none behind.

    Raises:
        ConfigError: `base_url` is no address, or the key cannot be sent.
    """

    def __init__(self, options: OpenAIOptions, *, api_key: str, patience: Patience) -> None:
        if not (api_key.isascii() and api_key.isprintable()):
            raise ConfigError("the key of engine 'openai' holds characters that no header can carry")
        self._options = options
        self._key = SecretStr(api_key)
        self._patience = patience
        self._breaker = CircuitBreaker(patience.clock)
        self._url = _checked(f"{options.base_url}/chat/completions")
        self._tls: ssl.SSLContext | bool = False  # plain http needs none, and loading authorities takes time
        if self._url.startswith("https:"):
            self._tls = ssl.create_default_context(cafile=certifi.where())
        self._by_loop: dict[asyncio.AbstractEventLoop, _Connections] = {}

    @asynccontextmanager
    async def session(self) -> AsyncIterator[ChatSession]:
        """Connections for one batch; batches at the same time share them and their limit."""
        loop = asyncio.get_running_loop()
        found = self._by_loop.get(loop)
        if found is None:
            found = _Connections(self._connect(), asyncio.Semaphore(self._options.concurrency))
            self._by_loop[loop] = found
        found.users += 1
        try:
            yield ChatSession(self, found)
        finally:
            found.users -= 1
            if not found.users:
                del self._by_loop[loop]
                await found.client.aclose()

    async def post(self, connections: _Connections, make_body: Callable[[], bytes]) -> bytes:
        """See `ChatSession.post`."""
        options = self._options
        failure = _Failure("never asked")
        async with connections.slots:  # kept while waiting: a server that is too busy gets fewer requests, not others
            body = make_body()
            for attempt in range(1, options.max_attempts + 1):
                if not self._breaker.admits():
                    raise self._gone()
                outcome = await self._attempt(connections.client, body)
                if isinstance(outcome, bytes):
                    return outcome
                failure = outcome
                if attempt == options.max_attempts or self._breaker.tripped:
                    break
                await self._patience.sleep(self._patience.wait_s(attempt, failure.retry_after, options.max_wait_s))
        if failure.unreachable:
            self._breaker.trip(failure.reason)
        raise EngineError(
            f"model server '{options.base_url}' failed {attempt} times, at last: {failure.reason}",
            hint="check that it runs; engine.openai has max_attempts, timeout_s and concurrency",
        ) from failure.cause

    def _gone(self) -> EngineError:
        return EngineError(
            f"model server '{self._options.base_url}' could not be reached and was not asked: {self._breaker.reason}",
            hint=f"check that it runs; every {COOL_DOWN_S:g} s one request looks whether it is back",
        )

    def _connect(self) -> httpx.AsyncClient:
        headers = {**self._options.headers, "Content-Type": "application/json", "Accept-Encoding": "identity"}
        if key := self._key.get_secret_value():
            headers["Authorization"] = f"Bearer {key}"
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=self._options.concurrency)
        return httpx.AsyncClient(
            headers=headers, verify=self._tls, limits=limits, timeout=None, follow_redirects=False, trust_env=False
        )

    async def _attempt(self, client: httpx.AsyncClient, body: bytes) -> bytes | _Failure:
        timeout_s = self._options.timeout_s
        try:
            # Of the whole exchange: httpx's own timeouts are for single reads, and a server that drips passes them.
            async with asyncio.timeout(timeout_s), client.stream("POST", self._url, content=body) as response:
                return await self._read(response)
        except TimeoutError as error:
            return _Failure(f"no answer within {timeout_s:g} s", cause=error)
        except httpx.RequestError as error:
            return _Failure(self._shown(f"{type(error).__name__}: {error}"), cause=error)

    async def _read(self, response: httpx.Response) -> bytes | _Failure:
        status = response.status_code
        self._breaker.reset()
        if status == 200:
            return await self._read_answer(response)
        shown = self._shown(_server_message(await _read_at_most(response, _MAX_REASON_BYTES)))
        reason = f"status {status}{': ' if shown else ''}{shown}"
        if status in _RETRIED or status >= 500:
            return _Failure(reason, response.headers.get("Retry-After", ""))
        hint = _REDIRECTED if 300 <= status < 400 else _HINTS.get(status, "")
        raise RequestRefused(f"model server '{self._options.base_url}' refused: {reason}", hint=hint, status=status)

    async def _read_answer(self, response: httpx.Response) -> bytes:
        """Compressed answers were not asked for, and would slip under the size limit."""
        where = f"model server '{self._options.base_url}'"
        if response.headers.get("Content-Encoding", "identity") != "identity":
            raise EngineError(f"{where} compressed its answer although it was told not to")
        content = await _read_at_most(response, _MAX_ANSWER_BYTES + 1)
        if len(content) > _MAX_ANSWER_BYTES:
            raise EngineError(f"{where} sent an answer of more than {_MAX_ANSWER_BYTES >> 20} MiB")
        return content

    def _shown(self, text: str) -> str:
        """One line for people. Servers repeat what they were sent, so keys and header values are blotted out."""
        for secret in (self._key.get_secret_value(), *self._options.headers.values()):
            text = text.replace(secret, "[hidden]") if len(secret) >= _SHORTEST_SECRET else text
        line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return line if len(line) <= _MAX_REASON_CHARS else f"{line[:_MAX_REASON_CHARS]}..."


@dataclass(frozen=True, slots=True)
class ChatSession:
    """A `ChatClient` within one event loop."""

    _owner: ChatClient
    _connections: _Connections

    async def post(self, make_body: Callable[[], bytes]) -> bytes:
        """Send one request and give back the body of its answer.

        Args:
            make_body: Called when it is this request's turn, so that waiting ones need no memory.

        Raises:
            RequestRefused: A status that trying again does not change.
            EngineError: All attempts failed, or the answer is too large.
        """
        return await self._owner.post(self._connections, make_body)


def _checked(url: str) -> str:
    try:
        httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigError(f"engine.openai.base_url cannot be used: {error}") from error
    return url


async def _read_at_most(response: httpx.Response, limit: int) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) >= limit:
            break
    return bytes(content[:limit])


def _server_message(content: bytes) -> str:
    """What the server says is wrong: `{"error": {"message"}}`, `{"message"}` or `{"detail"}`, else the body itself."""
    text = content.decode("utf-8", errors="replace")
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and key in found:
            found = found[key]
    return found if isinstance(found, str) else text
