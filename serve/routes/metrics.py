"""`GET /metrics`: what the service counts, as Prometheus reads it."""

from __future__ import annotations

from fastapi import APIRouter, Depends, Response

from serve.context import Caller, Context

_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def router(context: Context) -> APIRouter:
    routes = APIRouter(tags=["metrics"])
    metrics = context.telemetry.metrics if context.telemetry else None
    if metrics is None:
        return routes

    allowed = Depends(context.gate.require("judge"))

    @routes.get("/metrics", include_in_schema=False)
    async def figures(caller: Caller = allowed) -> Response:
        return Response(metrics.render(), media_type=_TEXT)

    return routes
