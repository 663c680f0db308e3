"""`POST /v1/judge`: media in, verdicts out. `GET /v1/verdicts/{id}`: those that were kept."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from fastapi.responses import StreamingResponse

from judge.client.wire import JudgeOptions, JudgeResponse, JudgeResult, MediaItem, StreamLine
from judge.constitution import Constitution, parse_constitution
from judge.types import Verdict
from serve.backend import Reply, Work
from serve.choices import check_stages
from serve.context import Caller, Context
from serve.limits import admit_media
from serve.logs import facts_of
from serve.openapi import JUDGE_BODY, NDJSON, errors
from serve.problems import ApiError
from serve.reading import Given, given, read_request
from serve.running import NdjsonResponse, Told, follow_all, judge_all, stream_lines, while_connected

MAX_INLINE_BYTES = 100_000
"""Largest constitution inside of a request."""


def router(context: Context) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["judge"])

    allowed = Depends(context.gate.require("judge"))

    @routes.post(
        "/judge", response_model=JudgeResponse, openapi_extra=JUDGE_BODY,
        responses={200: NDJSON, **errors(415, 422, 503, 504)},
    )  # fmt: skip
    async def judge(request: Request, caller: Caller = allowed) -> JudgeResponse | StreamingResponse:
        """Judge pictures and videos under a constitution.

        What cannot be read or judged is an error in its place, and never safe; if there is no verdict at all, the
        error is the answer.
        """
        asked = await read_request(request, context.settings.http)
        admit_media(request, len(asked.media))
        constitution = await chosen_policy(context, asked.options)
        works = [work_about(each, asked.options, constitution, context) for each in asked.media]
        await context.gate.count_media(caller, len(works))
        answer = _Answer(context, request, caller, asked.options, len(works))
        if asked.options.stream:
            return NdjsonResponse(stream_lines(follow_all(context.backend, works), answer.request_id, answer.line))
        replies = await while_connected(request, judge_all(context.backend, works))
        named = f"{constitution.name}@{constitution.version}"
        return JudgeResponse(id=answer.request_id, constitution=named, results=await answer.results(replies))

    @routes.get("/verdicts/{id}", response_model=JudgeResult, responses=errors(404))
    async def verdict(
        id: Annotated[str, Path(max_length=64, description="Of a result that was answered to a request with `store`.")],
        caller: Caller = allowed,
    ) -> JudgeResult:
        """A result that was kept for the same API key."""
        found = await context.archive.find(caller, id) if context.archive else None
        if found is None:
            hint = "only results of requests with `store` are kept, for a while, and for the same API key"
            raise ApiError(404, "not_found", "there is no such verdict", type="not_found_error", hint=hint)
        return found

    return routes


class _Answer:
    """Results of one request: numbered, kept if asked for, and counted for the log."""

    def __init__(self, context: Context, request: Request, caller: Caller, options: JudgeOptions, n_media: int) -> None:
        self._archive = context.archive if options.store else None
        self._caller = caller
        self._explain = options.explain
        self._ids = [uuid.uuid4().hex for _ in range(n_media)]
        self._facts = facts_of(request.scope)
        self._facts.n_media = n_media
        self.request_id: str = request.state.request_id

    async def results(self, replies: Sequence[Reply]) -> tuple[JudgeResult, ...]:
        """For all media."""
        return tuple([await self._result(Told(index, reply)) for index, reply in enumerate(replies)])

    async def line(self, told: Told) -> StreamLine:
        """For one reply of a stream."""
        result = await self._result(told)
        return StreamLine(type="verdict", index=told.index, final=told.reply.final, result=result)

    async def _result(self, told: Told) -> JudgeResult:
        result = to_result(told.reply, explain=self._explain, id=self._ids[told.index])
        if told.reply.final:
            self._facts.count(told.reply.row)
            if self._archive is not None:
                await self._archive.keep(self._caller, result)
        return result


async def chosen_policy(context: Context, options: JudgeOptions) -> Constitution:
    """The constitution that the request names or brings along, or the default one.

    Raises:
        ApiError: 413 or 422; it may not bring one, or that is too large.
        ConfigError: There is none of this name.
        InvalidConstitution: With everything that is wrong with the one it brings.
    """
    if options.constitution_inline is not None:
        return await _inline_policy(context, options.constitution_inline)
    name, _, version = (options.constitution or context.settings.constitution).partition("@")
    return await context.policies.get(name, version or None)


def work_about(media: Given, options: JudgeOptions, constitution: Constitution, context: Context) -> Work:
    """One piece of media of a request, as the backend takes it. Raises `ApiError` 422."""
    check_stages(options.stages, context.settings.judge)
    most_s, own_s = context.settings.http.deadline_s, options.budget.seconds
    return Work(
        media.media, media.name, constitution, options.stages, media.text,
        deadline_s=min(own_s or most_s, most_s), deadline_chosen=own_s is not None and own_s < most_s,
        completion_tokens=options.budget.completion_tokens,
    )  # fmt: skip


def to_work(item: MediaItem, place: str, options: JudgeOptions, constitution: Constitution, context: Context) -> Work:
    """The same for media in JSON. Raises `ApiError` 413 or 422."""
    return work_about(given(item, place, context.settings.http), options, constitution, context)


def to_result(reply: Reply, *, explain: bool, id: str | None = None) -> JudgeResult:
    """A reply as it is answered; `id` is a new one if none is given."""
    row = reply.row
    return JudgeResult(
        id=id or uuid.uuid4().hex, input=row.input, decision=row.decision, flagged=row.flagged,
        score=row.verdict.score if row.verdict else None,
        verdict=_brief(row.verdict) if row.verdict and not explain else row.verdict,
        error=row.error, cached=reply.cached,
    )  # fmt: skip


async def _inline_policy(context: Context, policy: object) -> Constitution:
    if not context.settings.http.inline_constitutions:
        raise ApiError(
            422, "inline_constitution_not_allowed", "constitutions inside of requests are off here",
            hint="name one of the service's constitutions", param="constitution_inline",
        )  # fmt: skip
    text = policy if isinstance(policy, str) else json.dumps(policy, ensure_ascii=False, indent=1)
    if len(text.encode()) > MAX_INLINE_BYTES:
        message = f"the constitution is larger than {MAX_INLINE_BYTES:,} bytes"
        raise ApiError(413, "constitution_too_large", message, param="constitution_inline")
    return await asyncio.to_thread(parse_constitution, text, source="constitution_inline")


def _brief(verdict: Verdict) -> Verdict:
    rules = tuple(rule.model_copy(update={"evidence": ()}) for rule in verdict.rules)
    return verdict.model_copy(update={"rules": rules, "timelines": ()})
