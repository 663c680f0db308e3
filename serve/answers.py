"""Errors as HTTP answers, and the outermost layer of the application: ids, headers, the log line, the last resort."""

from __future__ import annotations

import logging
import re
import uuid

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from judge.errors import JudgeError
from serve.logs import RequestFacts, begin_facts, facts_of, log_request
from serve.problems import to_api_error

_LOG = logging.getLogger(__name__)
_CALLERS_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_CLIENT_GONE = 499
"""What the log says where nobody was left to answer; nginx's convention."""
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def error_answer(scope: Scope, error: JudgeError) -> JSONResponse:
    """The error with its status and headers."""
    told, facts = to_api_error(error), facts_of(scope)
    facts.error = told.error_code
    body = told.body(facts.request_id).model_dump(mode="json")
    return JSONResponse(body, status_code=told.status, headers=told.headers)


class Outermost:
    """ASGI middleware around everything else; an error that nobody foresaw becomes a 500 here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        facts = begin_facts(scope, _request_id(scope))
        named = _naming(scope, facts, send)
        try:
            await self._answer(scope, receive, named, facts)
        finally:
            facts.status = facts.status or _CLIENT_GONE
            log_request(scope)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, facts: RequestFacts) -> None:
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception as error:
            _LOG.exception("unforeseen error", exc_info=error, extra={"fields": {"request_id": facts.request_id}})
            if facts.status:
                raise  # an answer has begun: the server breaks it off, so that it does not look whole
            await error_answer(scope, JudgeError("unforeseen"))(scope, receive, send)


def _naming(scope: Scope, facts: RequestFacts, send: Send) -> Send:
    """With the headers of every answer; those that a route sets itself, as the page does, stay."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            facts.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-Id"] = facts.request_id
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return send_with_headers


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _CALLERS_ID.fullmatch(given) else uuid.uuid4().hex
