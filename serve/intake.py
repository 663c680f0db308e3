"""What every request with a body must pass before anything reads the body: a key, its size, room for it, its pace."""

from __future__ import annotations

import asyncio
import time

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from judge.errors import JudgeError
from serve.answers import error_answer
from serve.context import Gate
from serve.limits import Admission, Place, remember_place
from serve.logs import facts_of
from serve.problems import ApiError
from serve.settings import HttpSettings, ServeSettings

_WITHOUT_BODY = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})


class Intake:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, gate: Gate, settings: ServeSettings) -> None:
        self._app = app
        self._gate = gate
        self._http = settings.http
        self._admission = Admission(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in _WITHOUT_BODY:
            await self._app(scope, receive, send)
            return
        try:
            await self._take(scope, receive, send)
        except JudgeError as error:
            await error_answer(scope, error)(scope, receive, send)

    async def _take(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = HTTPConnection(scope)
        await self._gate.identify(request)
        declared = _declared_length(request, self._http.max_body_bytes)
        with self._admission.enter(declared) as place:
            remember_place(request, place)
            body = LimitedBody(scope, receive, place, self._http, declared)
            await self._app(scope, body.receive, body.guard(send))
            if body.refusal is not None:
                raise body.refusal


class LimitedBody:
    """A body as it arrives: no larger than it may be, no slower, and with room for it.

    Attributes:
        refusal: What was wrong. Whatever the application makes of it, this is answered instead.
    """

    def __init__(self, scope: Scope, receive: Receive, place: Place, http: HttpSettings, declared: int) -> None:
        self.refusal: JudgeError | None = None
        self._receive = receive
        self._place = place
        self._http = http
        self._declared = declared
        self._facts = facts_of(scope)
        self._ends_at = time.monotonic() + http.body_timeout_s
        self._complete = False
        self._answering = False

    async def receive(self) -> Message:
        """Raises `ApiError` 408 or 413, or `Overloaded`."""
        if self._complete:
            return await self._receive()
        try:
            return await self._next()
        except JudgeError as error:
            if not self._answering:
                self.refusal = error
            raise

    def guard(self, send: Send) -> Send:
        """Nothing is sent once the body was refused."""

        async def send_unless_refused(message: Message) -> None:
            if self.refusal is None:
                self._answering = True
                await send(message)

        return send_unless_refused

    async def _next(self) -> Message:
        try:
            async with asyncio.timeout(self._ends_at - time.monotonic()):
                message = await self._receive()
        except TimeoutError as error:
            text = f"the body took longer than {self._http.body_timeout_s:g} s to arrive"
            raise ApiError(408, "body_timeout", text, type="timeout_error", headers={"Connection": "close"}) from error
        if message["type"] == "http.request":
            self._complete = not message.get("more_body", False)
            self._count(len(message.get("body", b"")))
        return message

    def _count(self, n_bytes: int) -> None:
        self._facts.n_bytes += n_bytes
        if self._facts.n_bytes > self._http.max_body_bytes:
            raise _too_large(self._http.max_body_bytes)
        if self._facts.n_bytes > self._declared:
            self._place.resize(n_bytes=self._facts.n_bytes)


def _declared_length(request: HTTPConnection, most: int) -> int:
    """0 if the body comes in chunks and does not say."""
    text = request.headers.get("content-length", "0")
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise ApiError(400, "invalid_request", "the header Content-Length is not a number")
    if int(text) > most:
        raise _too_large(most)
    return int(text)


def _too_large(most: int) -> ApiError:
    return ApiError(
        413, "body_too_large", f"the body is larger than {most:,} bytes", hint="send fewer or smaller media",
        headers={"Connection": "close"},
    )  # fmt: skip
