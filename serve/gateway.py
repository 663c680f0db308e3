"""The HTTP side as one FastAPI application, over any backend."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from judge import __version__
from judge.errors import JudgeError
from serve.answers import Outermost, error_answer
from serve.context import Context
from serve.intake import Intake
from serve.jobs.running import start_jobs
from serve.openapi import document
from serve.problems import ApiError
from serve.routes import ROUTERS
from serve.wording import invalid_request

_REFUSED = {
    400: ("invalid_body", "the body cannot be read"),
    404: ("not_found", "there is nothing at this path"),
    405: ("method_not_allowed", "this path does not take this method"),
}


def create_gateway(context: Context) -> FastAPI:
    """The application; `context` is the caller's to close."""
    # No page of documentation: the usual ones run scripts of other hosts beside the API keys typed into them.
    app = FastAPI(
        title="visual-judge", version=__version__, docs_url=None, redoc_url=None, redirect_slashes=False,
        lifespan=partial(_with_jobs, context),
    )  # fmt: skip
    for router in ROUTERS:
        app.include_router(router(context))
    _handle_errors(app)
    document(app)
    app.add_middleware(Intake, gate=context.gate, settings=context.settings)
    if context.settings.http.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=context.settings.http.cors_origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["Authorization", "X-API-Key", "X-Request-Id", "Content-Type"],
            expose_headers=["X-Request-Id", "Retry-After"],
        )  # fmt: skip
    app.add_middleware(Outermost)
    if context.telemetry is not None:
        context.telemetry.observe(app)
    return app


@asynccontextmanager
async def _with_jobs(context: Context, app: FastAPI) -> AsyncGenerator[None, None]:
    """Video jobs run as long as the gateway does."""
    if context.store is None:
        yield
        return
    running = start_jobs(context)
    try:
        yield
    finally:
        await running.close()


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(JudgeError)
    async def told(request: Request, error: JudgeError) -> JSONResponse:
        return error_answer(request.scope, error)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return error_answer(request.scope, invalid_request({**first, "loc": first["loc"][1:]}))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        code, message = _REFUSED.get(error.status_code, ("refused", str(error.detail)))
        return error_answer(request.scope, ApiError(error.status_code, code, message, headers=error.headers))
