"""`POST /beta/litellm_basic_guardrail_api` as LiteLLM's generic guardrail calls it, with one field of ours.

Source: LiteLLM's documentation of its generic guardrail API (beta), November 2026.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from judge.types import Wire
from serve.schemas.finding import Findings


class GuardrailRequest(Wire):
    """What LiteLLM took from a call. Further fields (tools, messages, who called) are ignored: the contract grows."""

    model_config = ConfigDict(extra="ignore")

    texts: Annotated[tuple[str, ...], Field(max_length=10_000)] | None = Field(default=None, repr=False)
    """Words of the call, in order."""
    images: tuple[str, ...] | None = Field(default=None, repr=False)
    """Pictures: base64, `data:` URLs, or http and https URLs if the service allows those."""
    input_type: str = "request"
    """`request` or `response`: what goes to the model, or what comes from it; both are judged alike."""


class GuardrailResponse(Wire):
    """What LiteLLM is to do."""

    action: Literal["NONE", "BLOCKED"]
    """`NONE`: go on; nothing is said about what was not judged. The contract's third action, `GUARDRAIL_INTERVENED`,
    changes the call; we never do."""
    blocked_reason: str | None = None
    """For `BLOCKED`: which rules, or what could not be judged."""
    visual_judge: Findings
    """Ours: what was decided about each picture and text."""
