"""Routes by contract, one module each: `router(context)` makes a FastAPI router."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter

from serve.context import Context
from serve.routes import judging, page

ROUTERS: tuple[Callable[[Context], APIRouter], ...] = (judging.router, page.router)
"""Every router of the application."""
