"""`POST /v1/moderations`: OpenAI's contract, with a constitution in the place of its model."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal, get_args

from fastapi import APIRouter, Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from judge.client.wire import ErrorResponse, JudgeOptions
from judge.constitution import Constitution
from judge.errors import ConfigError, JudgeError
from judge.pipeline import UNREAD_TEXT
from judge.types import RuleDecision, Verdict
from serve.backend import Reply, Work
from serve.context import Caller, Context
from serve.foreign import all_replies, image_work, judges_text, text_work, to_findings
from serve.problems import ApiError, to_api_error
from serve.routes.judging import chosen_policy
from serve.schemas.openai import (
    CATEGORIES,
    MODEL_NAMES,
    ImagePart,
    ModerationRequest,
    ModerationResponse,
    ModerationResult,
    Part,
    TextPart,
)

InputType = Literal["text", "image"]
_EXPECTED = {
    "input": "a text, a list of texts, or a list of parts of the types `text` and `image_url`",
    "model": "the name of a constitution, or of one of OpenAI's moderation models",
}


class _OpenAIRoute(APIRoute):
    """What is wrong with a request is told with the status 400, as OpenAI does."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                return await handler(request)
            except RequestValidationError as error:
                raise _invalid(error) from error
            except JudgeError as error:
                told = to_api_error(error)
                told.status = 400 if told.status == 422 else told.status
                told.param = "input" if told.param == "media" else told.param
                raise told from error

        return handle


def router(context: Context) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["moderations"], route_class=_OpenAIRoute)

    allowed = Depends(context.gate.require("judge"))

    @routes.post("/moderations", response_model=ModerationResponse, responses={400: {"model": ErrorResponse}})
    async def moderate(request: Request, body: ModerationRequest, caller: Caller = allowed) -> ModerationResponse:
        """As OpenAI's endpoint: its clients work unchanged.

        - A list of texts has one result for each. A list of parts has **one** result, whatever it holds: the union of
          all, with the highest scores; `visual_judge.findings` has each picture for itself.
        - Text parts are context of the pictures. Text is judged for itself only by rules whose modalities have
          `text`; without a picture and without such a rule there is nothing to judge, and the answer is 400.
        - An uncertain verdict is flagged, unless the service is set to pass it: see `visual_judge.decision`.
        - `category_applied_input_types` says `image` wherever a picture was judged, also where OpenAI's own models
          judge text only.
        """
        constitution = await _policy(context, body.model)
        groups = _groups(body, constitution, context)
        works = [work for group in groups for work in group]
        await context.gate.count_media(caller, len(works))
        replies = iter(await all_replies(context, works))
        flag_doubt = context.settings.contracts.uncertain == "flag"
        results = [_result(group, [next(replies) for _ in group], constitution, flag_doubt) for group in groups]
        named = f"{constitution.name}@{constitution.version}"
        return ModerationResponse(id=f"modr-{request.state.request_id}", model=named, results=tuple(results))

    return routes


async def _policy(context: Context, model: str) -> Constitution:
    """Raises `ApiError` 400 if there is no such constitution."""
    named = None if model.startswith(MODEL_NAMES) else model
    try:
        return await chosen_policy(context, JudgeOptions(constitution=named))
    except ConfigError as error:
        raise ApiError(400, "model_not_found", error.message, hint=error.hint, param="model") from error


def _groups(body: ModerationRequest, constitution: Constitution, context: Context) -> list[list[Work]]:
    """What is judged, by result: pictures, then text. Raises `ApiError` 4xx."""
    texts, images = _split(body.input)
    n_inputs, most = len(images) or len(texts), context.settings.http.max_media
    if n_inputs > most:
        message = f"the request has {n_inputs} inputs, and at most {most} are judged together"
        raise ApiError(400, "too_many_inputs", message, hint="send several requests", param="input")
    if images:
        words = "".join(texts)
        pictures = [image_work(each, words, constitution, context) for each in images]
        alone = [text_work(words, constitution, context)] if words.strip() and judges_text(constitution) else []
        return [pictures + alone]
    if not judges_text(constitution):
        raise ApiError(
            400, "text_not_judged", f"constitution '{constitution.name}' has no rule about text without a picture",
            hint="send a picture too, or name in `model` a constitution whose rules have the modality `text`",
            param="input",
        )  # fmt: skip
    if not all(text.strip() for text in texts):
        raise ApiError(400, "empty_text", "the input holds no words", param="input")
    return [[text_work(text, constitution, context)] for text in texts]


def _split(input: str | Sequence[str] | Sequence[Part]) -> tuple[list[str], list[str]]:
    """Texts, each for itself, and addresses of pictures. The text parts of a multi-modal input are one text."""
    if isinstance(input, str):
        return [input], []
    images = [part.image_url.url for part in input if isinstance(part, ImagePart)]
    words = [part.text for part in input if isinstance(part, TextPart)]
    plain = [part for part in input if isinstance(part, str)]
    return plain or (["\n".join(words)] if words else []), images


def _result(
    works: Sequence[Work], replies: Sequence[Reply], constitution: Constitution, flag_doubt: bool
) -> ModerationResult:
    """Raises `ApiError` 400 if some input could not be read: it is the caller's to leave out."""
    for reply in replies:
        if reply.row.error is not None:
            error = reply.row.error
            raise ApiError(400, "invalid_input", error.message, hint=error.hint, param="input")
    n_images = sum(work.media is not None for work in works)
    found = to_findings(replies, n_images, constitution)
    rules = _rules_by_name(works, replies, constitution)
    doubt = found.decision == "uncertain" and flag_doubt
    counting = {"violated", "abstained"} if doubt else {"violated"}
    return ModerationResult(
        flagged=found.decision == "unsafe" or doubt,
        categories={name: any(rule.outcome in counting for rule, _ in rules[name]) for name in CATEGORIES},
        category_scores={name: max((rule.score for rule, _ in rules[name]), default=0.0) for name in CATEGORIES},
        category_applied_input_types={
            name: tuple(kind for kind in get_args(InputType) if any(kind in kinds for _, kinds in rules[name]))
            for name in CATEGORIES
        },
        visual_judge=found,
    )


def _rules_by_name(
    works: Sequence[Work], replies: Sequence[Reply], constitution: Constitution
) -> dict[str, list[tuple[RuleDecision, set[InputType]]]]:
    """Every decision, with what it was made about, by each of OpenAI's names that its category has."""
    found: dict[str, list[tuple[RuleDecision, set[InputType]]]] = {name: [] for name in CATEGORIES}
    for work, reply in zip(works, replies, strict=True):
        verdict = reply.row.verdict
        if verdict is None:
            continue
        for rule in verdict.rules:
            for name in constitution.category(rule.category).mappings.get("openai", ()):
                if name in found:
                    found[name].append((rule, _kinds(work, verdict)))
    return found


def _kinds(work: Work, verdict: Verdict) -> set[InputType]:
    if work.media is None:
        return {"text"}
    read = work.text.strip() and not any(notice.startswith(UNREAD_TEXT) for notice in verdict.notices)
    return {"image", "text"} if read else {"image"}


def _invalid(error: RequestValidationError) -> ApiError:
    """In our own words: those about unions help nobody."""
    first = error.errors()[0]
    field = str(first["loc"][1]) if len(first["loc"]) > 1 else ""
    if first["type"] == "json_invalid" or not field:
        return ApiError(400, "invalid_json", "the body is not a JSON object")
    if first["type"] == "missing":
        return ApiError(400, "missing_field", f"the field '{field}' is missing", param=field)
    if field not in _EXPECTED:
        return ApiError(400, "unknown_field", "the request has a field that is not known", hint="leave it out")
    return ApiError(400, "invalid_field", f"{field} must be {_EXPECTED[field]}", param=field)
