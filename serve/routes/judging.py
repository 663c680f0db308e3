"""`POST /v1/judge`: media in, verdicts out."""

from __future__ import annotations

import asyncio
import base64
import binascii
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from judge.client.wire import JudgeOptions, JudgeRequest, JudgeResponse, JudgeResult, MediaItem, StreamLine
from judge.constitution import Constitution
from judge.errors import JudgeError
from judge.media.reference import InlineMedia, UrlMedia
from judge.types import ScoreRow, Verdict
from serve.backend import Reply, Work
from serve.context import Caller, Context
from serve.problems import ApiError, to_api_error


def router(context: Context) -> APIRouter:
    routes = APIRouter(prefix="/v1", tags=["judge"])

    allowed = Depends(context.gate.require("judge"))

    @routes.post("/judge", response_model=JudgeResponse)
    async def judge(
        request: Request, body: JudgeRequest, caller: Caller = allowed
    ) -> JudgeResponse | StreamingResponse:
        constitution = await chosen_policy(context, body)
        works = [to_work(item, str(place), body, constitution, context) for place, item in enumerate(body.media)]
        request_id = request.state.request_id
        if body.stream:
            lines = stream_lines(context, works, body, request_id)
            return StreamingResponse(lines, media_type="application/x-ndjson")
        replies = await asyncio.gather(*(last_reply(context, work) for work in works))
        results = tuple(to_result(reply, explain=body.explain) for reply in replies)
        named = f"{constitution.name}@{constitution.version}"
        return JudgeResponse(id=request_id, constitution=named, results=results)

    return routes


async def chosen_policy(context: Context, options: JudgeOptions) -> Constitution:
    """The constitution that the request names, or the default one."""
    name, _, version = (options.constitution or context.settings.constitution).partition("@")
    return await context.policies.get(name, version or None)


def to_work(item: MediaItem, place: str, options: JudgeOptions, constitution: Constitution, context: Context) -> Work:
    """One piece of media of a request, as the backend takes it."""
    name = item.name or place
    media = UrlMedia(url=item.url) if item.url is not None else InlineMedia(data=decode(item.data or ""), name=name)
    seconds = options.budget.seconds or context.settings.http.deadline_s
    return Work(
        media, name, constitution, options.stages, item.text,
        deadline_s=min(seconds, context.settings.http.deadline_s),
        completion_tokens=options.budget.completion_tokens,
    )  # fmt: skip


def decode(text: str) -> bytes:
    """Base64, or a `data:` URL. Raises `ApiError` 422."""
    payload = text.partition(",")[2] if text.startswith("data:") else text
    try:
        return base64.b64decode(payload, validate=True)
    except binascii.Error as error:
        raise ApiError(422, "invalid_base64", "the media's data is not base64", param="media") from error


async def last_reply(context: Context, work: Work) -> Reply:
    """The final reply about one piece of media."""
    last: Reply | None = None
    async with aclosing(context.backend.judge(work)) as replies:
        async for reply in replies:
            last = reply
    assert last is not None
    return last


async def stream_lines(
    context: Context, works: Sequence[Work], options: JudgeOptions, request_id: str
) -> AsyncGenerator[bytes, None]:
    """NDJSON: a line for every verdict of every media as soon as it is there, and a last line."""
    lines: asyncio.Queue[StreamLine | None] = asyncio.Queue()

    async def follow(index: int, work: Work) -> None:
        async with aclosing(context.backend.judge(replace(work, refine=True))) as replies:
            async for reply in replies:
                result = to_result(reply, explain=options.explain)
                await lines.put(StreamLine(type="verdict", index=index, final=reply.final, result=result))

    async def follow_all() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for index, work in enumerate(works):
                    group.create_task(follow(index, work))
            await lines.put(StreamLine(type="done"))
        except* JudgeError as failed:
            error = failed.exceptions[0]
            assert isinstance(error, JudgeError)
            await lines.put(StreamLine(type="error", error=to_api_error(error).body(request_id).error))
        finally:
            await lines.put(None)

    following = asyncio.create_task(follow_all())
    try:
        while (line := await lines.get()) is not None:
            yield line.model_dump_json().encode() + b"\n"
    finally:
        following.cancel()


def to_result(reply: Reply, *, explain: bool) -> JudgeResult:
    row: ScoreRow = reply.row
    return JudgeResult(
        id=uuid.uuid4().hex, input=row.input, decision=row.decision, flagged=row.flagged,
        score=row.verdict.score if row.verdict else None,
        verdict=_brief(row.verdict) if row.verdict and not explain else row.verdict,
        error=row.error, cached=reply.cached,
    )  # fmt: skip


def _brief(verdict: Verdict) -> Verdict:
    rules = tuple(rule.model_copy(update={"evidence": ()}) for rule in verdict.rules)
    return verdict.model_copy(update={"rules": rules, "timelines": ()})
