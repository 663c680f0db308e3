"""`GET /v1/models`: the models behind the service, in the shape of OpenAI's list with more fields."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Depends

from judge.types import Wire
from serve.backend import ModelCard
from serve.context import Caller, Context
from serve.openapi import errors


class ModelEntry(Wire):
    """A model that the service asks."""

    id: str
    """Its name."""
    object: Literal["model"] = "model"
    """Always `model`."""
    owned_by: Literal["visual-judge"] = "visual-judge"
    """Always `visual-judge`: who serves it."""
    role: str
    """`judge`, or its name in the panel."""
    digest: str
    """Digest of weights, tokenizer and processor, as in the versions of verdicts."""
    runtime: str
    """Engine, number type and kind of device."""
    domain: str
    """What it was made for; empty = no stated limits."""
    capabilities: tuple[str, ...]
    """What it can do: `choice_probabilities`, `generation`, `images`, `structured`."""


class ModelList(Wire):
    """The models behind the service."""

    object: Literal["list"] = "list"
    """Always `list`."""
    data: tuple[ModelEntry, ...]
    """The judge's own model first, then the panel."""


def router(context: Context) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["models"])

    allowed = Depends(context.gate.require("judge"))

    @routes.get("/models", responses=errors(503))
    async def models(caller: Caller = allowed) -> ModelList:
        """The models that are asked."""
        return ModelList(data=tuple(_entry(card) for card in await context.backend.models()))

    return routes


def _entry(card: ModelCard) -> ModelEntry:
    return ModelEntry(
        id=card.name, role=card.role, digest=card.digest, runtime=card.runtime, domain=card.domain,
        capabilities=card.capabilities,
    )  # fmt: skip
