"""`POST /beta/litellm_basic_guardrail_api`: a guardrail for LiteLLM's proxy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Header

from judge.client.wire import ErrorResponse, JudgeOptions
from judge.constitution import Constitution
from judge.prompts.posted import MAX_CHARACTERS
from judge.types import InputError, ScoreRow
from serve.backend import Reply, Work
from serve.context import Caller, Context
from serve.foreign import all_replies, image_work, judges_text, text_work, to_findings
from serve.problems import ApiError
from serve.routes.judging import chosen_policy
from serve.schemas.finding import Finding, Findings
from serve.schemas.litellm import GuardrailRequest, GuardrailResponse
from serve.settings import ContractSettings


def router(context: Context) -> APIRouter:
    routes = APIRouter(prefix="/beta", tags=["litellm"])

    allowed = Depends(context.gate.require("judge"))

    @routes.post(
        "/litellm_basic_guardrail_api", response_model=GuardrailResponse, responses={400: {"model": ErrorResponse}}
    )
    async def guard(
        body: GuardrailRequest,
        x_constitution: Annotated[
            str | None, Header(max_length=200, description="Constitution: `name` or `name@version`")
        ] = None,
        caller: Caller = allowed,
    ) -> GuardrailResponse:
        """As LiteLLM's generic guardrail calls it (`guardrail: generic_guardrail_api`).

        - Pictures are judged, with the texts as context (the last of them, if they are long); texts for themselves only
          by rules whose modalities have `text`. Without such a rule, text without a picture is `NONE`, or `BLOCKED` if
          the service is set so.
        - What is uncertain or cannot be read is `BLOCKED`, unless the service is set to pass it.
        - The constitution is the header `X-Constitution` (`name` or `name@version`), which belongs into the proxy's
          configuration. Parameters in the body may come from whoever calls the proxy, and choose nothing.
        - If the model cannot answer, the status is 503: what then happens is LiteLLM's `unreachable_fallback`.
        """
        constitution = await chosen_policy(context, JudgeOptions(constitution=x_constitution))
        images, pieces = body.images or (), _pieces(body.texts or ())
        works = _works(images, pieces, constitution, context)
        await context.gate.count_media(caller, len(works))
        found = to_findings(await all_replies(context, works), len(images), constitution)
        return _response(found, context.settings.contracts, has_text=bool(pieces))

    return routes


def _pieces(texts: Sequence[str]) -> list[str]:
    """The texts in order, as few and as long as can be shown at once."""
    pieces: list[str] = []
    for text in texts:
        for start in range(0, len(text), MAX_CHARACTERS):
            part = text[start : start + MAX_CHARACTERS]
            if pieces and len(pieces[-1]) + 1 + len(part) <= MAX_CHARACTERS:
                pieces[-1] += f"\n{part}"
            elif part.strip():
                pieces.append(part)
    return pieces


def _works(
    images: Sequence[str], pieces: Sequence[str], constitution: Constitution, context: Context
) -> list[Work | Reply]:
    """Pictures, then texts. Nothing is judged if there is too much, and that is a doubt about all of it."""
    alone = pieces if judges_text(constitution) else ()
    n_inputs, most = max(len(images), len(alone)), context.settings.http.max_media
    if n_inputs > most:
        return [_unread("too_many_inputs", f"the call has {n_inputs} inputs, and at most {most} are judged together")]
    return [
        *(_image(address, pieces, constitution, context) for address in images),
        *(text_work(text, constitution, context) for text in alone),
    ]


def _image(address: str, pieces: Sequence[str], constitution: Constitution, context: Context) -> Work | Reply:
    """The picture with the last words of the call. What is no picture is uncertain, and no error that may be waved
    through."""
    try:
        return image_work(address, pieces[-1] if pieces else "", constitution, context)
    except ApiError as error:
        return _unread(error.error_code, error.message)


def _unread(code: str, message: str) -> Reply:
    error = InputError(code=code, message=message)
    return Reply(ScoreRow(input="image", decision="uncertain", flagged=None, error=error))


def _response(found: Findings, settings: ContractSettings, *, has_text: bool) -> GuardrailResponse:
    doubt = found.decision == "uncertain" and settings.uncertain == "flag"
    if found.decision == "unsafe" or doubt:
        reason = "; ".join(_reason(each) for each in found.findings if each.decision == found.decision)
    elif found.decision is None and has_text and settings.unjudged_text == "block":
        reason = f"constitution '{found.constitution}' has no rule about text without a picture"
    else:
        return GuardrailResponse(action="NONE", visual_judge=found)
    return GuardrailResponse(action="BLOCKED", blocked_reason=reason, visual_judge=found)


def _reason(finding: Finding) -> str:
    named = f"{finding.input} {finding.index + 1}"
    if finding.violated:
        return f"{named} breaks {', '.join(finding.violated)}"
    return f"{named} could not be judged: {finding.reason}"
