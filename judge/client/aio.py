"""The client for asyncio; the same calls as `judge.client.sync`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager

import httpx
from pydantic import JsonValue

from judge.client import calls, video
from judge.client.attempts import Attempts, Limits, refused
from judge.client.calls import Call, ConstitutionVersion, ModelEntry, T
from judge.client.connection import headers, service_url
from judge.client.errors import ClientError, Refused
from judge.client.media import Input, to_uploads
from judge.client.video import AggregateBy, SortBy, VideoJob
from judge.client.wire import Budget, JudgeResult, StreamLine
from judge.config import StageChoice


class AsyncJudgeClient:
    """As `JudgeClient`, for one event loop; `timeout_s` holds exactly. Files are read in a thread.

    Example:
        >>> async with AsyncJudgeClient("http://127.0.0.1:8000", api_key=key) as client:
        ...     results = await asyncio.gather(*(client.judge(path) for path in paths))
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        timeout_s: float = 120.0,
        max_retries: int = 4,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._limits = Limits(timeout_s, max_retries)
        self._http = httpx.AsyncClient(base_url=service_url(base_url), headers=headers(api_key), transport=transport)

    async def __aenter__(self) -> AsyncJudgeClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def judge(
        self,
        media: Input | Sequence[Input],
        *,
        constitution: str | None = None,
        constitution_inline: str | Mapping[str, JsonValue] | None = None,
        stages: StageChoice | Mapping[str, object] | None = None,
        budget: Budget | Mapping[str, object] | None = None,
        explain: bool = False,
        store: bool = False,
        text: str | Sequence[str] = "",
    ) -> list[JudgeResult]:
        """As `JudgeClient.judge`."""
        options = calls.judge_options(
            constitution=constitution, constitution_inline=constitution_inline, stages=stages, budget=budget,
            explain=explain, store=store,
        )  # fmt: skip
        uploads = await asyncio.to_thread(to_uploads, media, text)
        try:
            return await self._send(calls.judge_call(uploads, options))
        except Refused as error:
            return calls.rows_or_raise(error, uploads)

    async def stream(
        self,
        media: Input | Sequence[Input],
        *,
        constitution: str | None = None,
        constitution_inline: str | Mapping[str, JsonValue] | None = None,
        stages: StageChoice | Mapping[str, object] | None = None,
        budget: Budget | Mapping[str, object] | None = None,
        explain: bool = False,
        store: bool = False,
        text: str | Sequence[str] = "",
    ) -> AsyncGenerator[StreamLine, None]:
        """As `JudgeClient.stream`. Close it (`contextlib.aclosing`) to end the service's work early."""
        options = calls.judge_options(
            constitution=constitution, constitution_inline=constitution_inline, stages=stages, budget=budget,
            explain=explain, store=store, stream=True,
        )  # fmt: skip
        uploads = await asyncio.to_thread(to_uploads, media, text)
        async with aclosing(self._lines(calls.judge_call(uploads, options))) as lines:
            async for line in lines:
                yield line

    async def models(self) -> list[ModelEntry]:
        """As `JudgeClient.models`."""
        return await self._send(calls.models_call())

    async def constitutions(self) -> list[ConstitutionVersion]:
        """As `JudgeClient.constitutions`."""
        return await self._send(calls.constitutions_call())

    async def put_constitution(self, name: str, text: str) -> ConstitutionVersion:
        """As `JudgeClient.put_constitution`."""
        return await self._send(calls.put_constitution_call(name, text))

    async def verdict(self, id: str) -> JudgeResult:
        """As `JudgeClient.verdict`."""
        return await self._send(calls.verdict_call(id))

    async def health(self) -> None:
        """As `JudgeClient.health`."""
        await self._send(calls.ready_call())

    async def start_video_job(
        self,
        media: Input,
        *,
        constitution: str | None = None,
        stages: StageChoice | Mapping[str, object] | None = None,
        min_confidence: float | None = None,
        client_request_token: str | None = None,
        job_tag: str | None = None,
        webhook_url: str | None = None,
    ) -> str:
        """As `JudgeClient.start_video_job`."""
        (upload,) = await asyncio.to_thread(to_uploads, media)
        call = video.start_call(
            upload, constitution=constitution, stages=stages, min_confidence=min_confidence,
            token=client_request_token, tag=job_tag, webhook_url=webhook_url,
        )  # fmt: skip
        return (await self._send(call)).job_id

    async def video_job(
        self,
        id: str,
        *,
        sort_by: SortBy = "TIMESTAMP",
        aggregate_by: AggregateBy = "TIMESTAMPS",
        next_token: str | None = None,
    ) -> VideoJob:
        """As `JudgeClient.video_job`."""
        return await self._send(video.job_call(id, sort_by=sort_by, aggregate_by=aggregate_by, next_token=next_token))

    async def wait_for_video_job(
        self,
        id: str,
        *,
        timeout_s: float = 900.0,
        poll_s: float = 2.0,
        sort_by: SortBy = "TIMESTAMP",
        aggregate_by: AggregateBy = "TIMESTAMPS",
    ) -> VideoJob:
        """As `JudgeClient.wait_for_video_job`."""
        ends_at = time.monotonic() + timeout_s
        pages = [await self.video_job(id, sort_by=sort_by, aggregate_by=aggregate_by)]
        while not video.has_succeeded(pages[0]):
            if time.monotonic() + poll_s > ends_at:
                raise video.still_under_way(id, timeout_s)
            await asyncio.sleep(poll_s)
            pages = [await self.video_job(id, sort_by=sort_by, aggregate_by=aggregate_by)]
        while (token := pages[-1].next_token) is not None:
            pages.append(await self.video_job(id, sort_by=sort_by, aggregate_by=aggregate_by, next_token=token))
        return video.joined(pages)

    async def delete_video_job(self, id: str) -> None:
        """As `JudgeClient.delete_video_job`."""
        await self._send(video.delete_call(id))

    async def _send(self, call: Call[T]) -> T:
        attempts = Attempts(self._limits)
        while True:
            try:
                async with attempts.limiting(), self._answer(call, attempts) as response:
                    return call.read(await response.aread())
            except ClientError as error:
                await asyncio.sleep(attempts.pause_s(error))

    async def _lines(self, call: Call[list[JudgeResult]]) -> AsyncGenerator[StreamLine, None]:
        attempts, begun = Attempts(self._limits), False
        while not begun:
            try:
                async with self._answer(call, attempts) as response:
                    async with aclosing(_in_time(response.aiter_lines(), attempts)) as texts:
                        async for text in texts:
                            begun = True
                            line = calls.stream_line(text)
                            if line is None:
                                return
                            yield line
                    calls.broken_off()
            except ClientError as error:
                if begun:
                    raise
                await asyncio.sleep(attempts.pause_s(error))

    @asynccontextmanager
    async def _answer(self, call: Call[T], attempts: Attempts) -> AsyncIterator[httpx.Response]:
        """As that of `JudgeClient`."""
        with attempts.translating():
            request = self._http.build_request(call.method, call.path, timeout=attempts.timeout(), **call.body)
            async with attempts.limiting():
                response = await self._http.send(request, stream=True)
            try:
                if not response.is_success:
                    await response.aread()
                    raise refused(response)
                yield response
            finally:
                await response.aclose()


async def _in_time(lines: AsyncIterator[str], attempts: Attempts) -> AsyncGenerator[str, None]:
    """Raises `OutOfTime`. The limit is laid around each step: what the caller does between is not cancelled."""
    while True:
        try:
            async with attempts.limiting():
                line = await anext(lines)
        except StopAsyncIteration:
            return
        yield line
