"""Routes by contract, one module each: `router(context)` makes a FastAPI router."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from serve.context import Context
from serve.routes import judging, litellm, moderations

ROUTERS: tuple[Callable[[Context], APIRouter], ...] = (judging.router, moderations.router, litellm.router)
"""Every router of the application."""
