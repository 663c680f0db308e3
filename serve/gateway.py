"""The HTTP side as one FastAPI application, over any backend."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from judge import __version__
from judge.errors import JudgeError
from serve.context import Context
from serve.problems import ApiError, to_api_error
from serve.routes import ROUTERS

_LOG = logging.getLogger(__name__)


def create_gateway(context: Context) -> FastAPI:
    """The application; `context` is the caller's to close."""
    app = FastAPI(title="visual-judge", version=__version__, docs_url="/docs", redoc_url=None)
    for router in ROUTERS:
        app.include_router(router(context))
    _handle_errors(app)

    @app.middleware("http")
    async def name_request(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        request.state.request_id = uuid.uuid4().hex
        response = await call_next(request)
        response.headers["X-Request-Id"] = request.state.request_id
        return response

    return app


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(JudgeError)
    async def told(request: Request, error: JudgeError) -> JSONResponse:
        return _answer(request, to_api_error(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        message = f"{field}: {first['msg']}" if field else first["msg"]
        return _answer(request, ApiError(422, "invalid_request", message, param=field or None))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
        found = ApiError(error.status_code, code, str(error.detail), headers=error.headers)
        return _answer(request, found)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        _LOG.exception("unforeseen error", exc_info=error)
        return _answer(request, to_api_error(JudgeError("unforeseen")))


def _answer(request: Request, error: ApiError) -> JSONResponse:
    body = error.body(getattr(request.state, "request_id", ""))
    return JSONResponse(body.model_dump(mode="json"), status_code=error.status, headers=error.headers)
