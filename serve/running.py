"""A request's media, judged at the same time: all final replies together, or line by line as they come.

One rule for what goes wrong: what could be judged is never lost to what could not. Media without a verdict are an
error in their place; only if there is no verdict at all, the error is the answer to the request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fastapi.responses import StreamingResponse
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from judge.client.wire import StreamLine
from judge.errors import JudgeError
from judge.types import InputError, ScoreRow
from serve.backend import Backend, Reply, Work
from serve.problems import ApiError, DeadlineExceeded, to_api_error

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_GRACE_S = 2.0
"""How long after the deadline the backend may still answer by itself, with the readings so far."""


@dataclass(frozen=True, slots=True)
class Told:
    """A reply about the media at `index`."""

    index: int
    reply: Reply


async def last_reply(backend: Backend, work: Work) -> Reply:
    """The final reply about one piece of media. Raises as `Backend.judge` does."""
    last: Reply | None = None
    async with aclosing(_in_time(backend, work)) as replies:
        async for reply in replies:
            last = reply
    assert last is not None
    return last


async def judge_all(backend: Backend, works: Sequence[Work]) -> list[Reply]:
    """The final replies, in the order of the media.

    Raises:
        JudgeError: Nothing could be judged; what went wrong with the service comes before what is wrong with the media.
    """
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_reply_or_error(backend, work)) for work in works]
    found = [task.result() for task in tasks]
    if not any(isinstance(each, Reply) and _is_answer(each) for each in found):
        raise _nothing_judged(found)
    return [
        each if isinstance(each, Reply) else Reply(_failed(work.name, each))
        for work, each in zip(works, found, strict=True)
    ]


async def follow_all(backend: Backend, works: Sequence[Work]) -> AsyncGenerator[Told | JudgeError, None]:
    """Every reply of every media as soon as it is there. Errors of the service come last; they end one media only."""
    queue: asyncio.Queue[Told | None] = asyncio.Queue()
    failures: list[JudgeError] = []

    async def follow(index: int, work: Work) -> None:
        try:
            async with aclosing(_in_time(backend, replace(work, refine=True))) as replies:
                async for reply in replies:
                    await queue.put(Told(index, reply))
        except JudgeError as error:
            if _budget_ended(work, error):
                await queue.put(Told(index, Reply(_failed(work.name, error))))
            else:
                failures.append(error)

    async def follow_each() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for index, work in enumerate(works):
                    group.create_task(follow(index, work))
        finally:
            await queue.put(None)

    following = asyncio.create_task(follow_each())
    try:
        while (told := await queue.get()) is not None:
            yield told
        await following
        for failure in failures:
            yield failure
    finally:
        following.cancel()


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Do the work, and stop it as soon as the caller hangs up. Raises `ClientDisconnect` then."""
    task, gone = asyncio.create_task(work), asyncio.create_task(_hung_up(request.receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


class NdjsonResponse(StreamingResponse):
    """Lines of JSON. The work behind them ends when the caller hangs up.

    Starlette looks out for that in the protocol's version 2.3 only; later it waits for a line that cannot be sent, and
    a slow stage sends none for long.
    """

    media_type = "application/x-ndjson"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        listening = {**scope, "asgi": {**scope.get("asgi", {}), "spec_version": "2.3"}}
        await super().__call__(listening, receive, send)


async def stream_lines(
    replies: AsyncGenerator[Told | JudgeError, None], request_id: str, show: Callable[[Told], Awaitable[StreamLine]]
) -> AsyncGenerator[bytes, None]:
    """One line for each reply, and a last line: `done`, or `error` if something failed that is not the media."""
    last = StreamLine(type="done")
    try:
        async with aclosing(replies):
            async for each in replies:
                if isinstance(each, JudgeError):
                    last = _error_line(each, request_id) if last.type == "done" else last
                else:
                    yield _written(await show(each))
    except Exception as error:
        # The status was sent long ago: a line says it instead.
        known = error if isinstance(error, JudgeError) else JudgeError("unforeseen")
        if known is not error:
            _LOG.exception("unforeseen error", exc_info=error, extra={"fields": {"request_id": request_id}})
        last = _error_line(known, request_id)
    yield _written(last)


async def _in_time(backend: Backend, work: Work) -> AsyncGenerator[Reply, None]:
    """The backend's replies; a backend that does not keep to the deadline is left."""
    most_s = None if work.deadline_s is None else work.deadline_s + _GRACE_S
    try:
        async with asyncio.timeout(most_s), aclosing(backend.judge(work)) as replies:
            async for reply in replies:
                yield reply
    except TimeoutError as error:
        raise DeadlineExceeded("the time for the request ran out before there was a verdict") from error


async def _reply_or_error(backend: Backend, work: Work) -> Reply | JudgeError:
    try:
        return await last_reply(backend, work)
    except JudgeError as error:
        return Reply(_failed(work.name, error)) if _budget_ended(work, error) else error


def _budget_ended(work: Work, error: JudgeError) -> bool:
    """A budget too small for any verdict leaves the media uncertain, as the caller wanted it."""
    return work.deadline_chosen and isinstance(error, DeadlineExceeded)


def _is_answer(reply: Reply) -> bool:
    error = reply.row.error
    return error is None or error.code == DeadlineExceeded.code


def _nothing_judged(found: Sequence[Reply | JudgeError]) -> JudgeError:
    ours = next((each for each in found if isinstance(each, JudgeError)), None)
    if ours is not None:
        return ours
    first = next(each.row.error for each in found if isinstance(each, Reply) and each.row.error)
    message = first.message if len(found) == 1 else f"none of the {len(found)} media can be read; {first.message}"
    return ApiError(422, first.code, message, hint=first.hint, param="media")


def _failed(name: str, error: JudgeError) -> ScoreRow:
    told = to_api_error(error)
    shown = InputError(code=told.error_code, message=told.message, hint=told.hint)
    return ScoreRow(input=name, decision="uncertain", flagged=None, error=shown)


def _error_line(error: JudgeError, request_id: str) -> StreamLine:
    return StreamLine(type="error", error=to_api_error(error).body(request_id).error)


def _written(line: StreamLine) -> bytes:
    return line.model_dump_json().encode() + b"\n"


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
