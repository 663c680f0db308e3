"""Routes by contract, one module each: `router(context)` makes a FastAPI router."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from serve.context import Context
from serve.routes import constitutions, health, jobs, judging, litellm, metrics, models, moderations, page

ROUTERS: tuple[Callable[[Context], APIRouter], ...] = (
    health.router, models.router, judging.router, moderations.router, litellm.router, constitutions.router,
    jobs.router, metrics.router, page.router,
)  # fmt: skip
"""Every router of the application."""
