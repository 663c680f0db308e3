"""The client for ordinary code. `judge.client.aio` is the same for asyncio."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

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


class JudgeClient:
    """Calls the service. Safe to share between threads; close it, or use it in a `with`.

    A call is tried again, after growing pauses and never sooner than the service asks for, where that can help: the
    service cannot be reached, has no room (429), or its model does not answer (503). Every call may be sent twice
    without harm. Redirects are not followed.

    Args:
        base_url: Where the service is, with a path if it lies under one.
        api_key: One of the service's keys.
        timeout_s: For one call with all its tries. An answer that arrives in pieces may take up to twice as long.
        max_retries: Further tries after the first.
        transport: How bytes are sent; None = as httpx does.

    Raises:
        ConfigError: The address is not an http or https URL.

    Example:
        >>> with JudgeClient("http://127.0.0.1:8000", api_key=key) as client:
        ...     (result,) = client.judge(Path("photo.jpg"))
        ...     print(result.decision)
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        timeout_s: float = 120.0,
        max_retries: int = 4,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._limits = Limits(timeout_s, max_retries)
        self._http = httpx.Client(base_url=service_url(base_url), headers=headers(api_key), transport=transport)

    def __enter__(self) -> JudgeClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def judge(
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
        """Judge pictures and videos in one request.

        Args:
            media: Files as `Path`, bytes, http(s) or `data:` URLs, Pillow's pictures. A plain string is never a path.
            constitution: Its name, or `name@version`; None = the service's default.
            constitution_inline: A whole constitution, where the service permits it.
            stages: Stages to switch on or off, e.g. `{"vote": True}`.
            budget: E.g. `{"seconds": 5}`.
            explain: Also the evidence of every rule.
            store: Keep the results for `verdict`.
            text: What was posted with all of the media, or one text for each.

        Returns:
            One result per media, in their order. What cannot be judged has an error there, and is never safe.

        Raises:
            MediaError: A file cannot be read here; nothing was sent.
            ConfigError: The options cannot be; nothing was sent.
            ClientError: There is no answer for the whole request.

        Example:
            >>> client.judge([Path("a.jpg"), picture_bytes], constitution="stickers", stages={"vote": True})
        """
        uploads = to_uploads(media, text)
        options = calls.judge_options(
            constitution=constitution, constitution_inline=constitution_inline, stages=stages, budget=budget,
            explain=explain, store=store,
        )  # fmt: skip
        try:
            return self._send(calls.judge_call(uploads, options))
        except Refused as error:
            return calls.rows_or_raise(error, uploads)

    def stream(
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
    ) -> Iterator[StreamLine]:
        """As `judge`, but every verdict as soon as it is there: that of the fast path, then refinements.

        `index` is the place of the media; after its line with `final` nothing more comes about it. Stopping early ends
        the service's work. Tried again until the first line only.

        Raises:
            ClientError: After the lines that came; also where the stream breaks off.

        Example:
            >>> for line in client.stream([Path("a.jpg")], stages={"vote": True}):
            ...     print(line.index, line.result.decision, "final" if line.final else "so far")
        """
        options = calls.judge_options(
            constitution=constitution, constitution_inline=constitution_inline, stages=stages, budget=budget,
            explain=explain, store=store, stream=True,
        )  # fmt: skip
        return self._lines(calls.judge_call(to_uploads(media, text), options))

    def models(self) -> list[ModelEntry]:
        """The models behind the service: the judge's own, then the panel."""
        return self._send(calls.models_call())

    def constitutions(self) -> list[ConstitutionVersion]:
        """All versions of all constitutions, by name, newest first."""
        return self._send(calls.constitutions_call())

    def put_constitution(self, name: str, text: str) -> ConstitutionVersion:
        """Add a version, as YAML, and apply it from now on; needs a key with the scope `admin`.

        The same content again changes nothing.

        Example:
            >>> client.put_constitution("house", Path("house.yaml").read_text())
        """
        return self._send(calls.put_constitution_call(name, text))

    def verdict(self, id: str) -> JudgeResult:
        """A result that was kept by `judge(..., store=True)`. Raises `NotFound`."""
        return self._send(calls.verdict_call(id))

    def health(self) -> None:
        """Returns if every model of the service answers. Raises `ClientError` otherwise."""
        self._send(calls.ready_call())

    def start_video_job(
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
        """Hand over a video; returns the id of the job.

        Args:
            min_confidence: In percent; labels below are left out. The decision does not depend on it.
            client_request_token: The same request with the same token is the same job; None = a new one.
            webhook_url: Who is told at the end, where the service allows it.

        Example:
            >>> id = client.start_video_job(Path("clip.mp4"))
            >>> job = client.wait_for_video_job(id, timeout_s=600)
            >>> print(job.decision, [label.moderation_label.name for label in job.moderation_labels])
        """
        (upload,) = to_uploads(media)
        call = video.start_call(
            upload, constitution=constitution, stages=stages, min_confidence=min_confidence,
            token=client_request_token, tag=job_tag, webhook_url=webhook_url,
        )  # fmt: skip
        return self._send(call).job_id

    def video_job(
        self,
        id: str,
        *,
        sort_by: SortBy = "TIMESTAMP",
        aggregate_by: AggregateBy = "TIMESTAMPS",
        next_token: str | None = None,
    ) -> VideoJob:
        """A job as it is now, with one page of labels. Raises `NotFound`."""
        return self._send(video.job_call(id, sort_by=sort_by, aggregate_by=aggregate_by, next_token=next_token))

    def wait_for_video_job(
        self,
        id: str,
        *,
        timeout_s: float = 900.0,
        poll_s: float = 2.0,
        sort_by: SortBy = "TIMESTAMP",
        aggregate_by: AggregateBy = "TIMESTAMPS",
    ) -> VideoJob:
        """The job when it has succeeded, with the labels of all pages.

        Raises:
            JobFailed: It has failed, or was cancelled.
            OutOfTime: It is still under way after `timeout_s`; it goes on.
        """
        ends_at = time.monotonic() + timeout_s
        pages = [self.video_job(id, sort_by=sort_by, aggregate_by=aggregate_by)]
        while not video.has_succeeded(pages[0]):
            if time.monotonic() + poll_s > ends_at:
                raise video.still_under_way(id, timeout_s)
            time.sleep(poll_s)
            pages = [self.video_job(id, sort_by=sort_by, aggregate_by=aggregate_by)]
        while (token := pages[-1].next_token) is not None:
            pages.append(self.video_job(id, sort_by=sort_by, aggregate_by=aggregate_by, next_token=token))
        return video.joined(pages)

    def delete_video_job(self, id: str) -> None:
        """End a job, and forget it. Raises `NotFound`."""
        self._send(video.delete_call(id))

    def _send(self, call: Call[T]) -> T:
        attempts = Attempts(self._limits)
        while True:
            try:
                with self._answer(call, attempts) as response:
                    return call.read(b"".join(_in_time(response.iter_bytes(), attempts)))
            except ClientError as error:
                time.sleep(attempts.pause_s(error))

    def _lines(self, call: Call[list[JudgeResult]]) -> Iterator[StreamLine]:
        attempts, begun = Attempts(self._limits), False
        while not begun:
            try:
                with self._answer(call, attempts) as response:
                    for text in _in_time(response.iter_lines(), attempts):
                        begun = True
                        line = calls.stream_line(text)
                        if line is None:
                            return
                        yield line
                    calls.broken_off()
            except ClientError as error:
                if begun:
                    raise
                time.sleep(attempts.pause_s(error))

    @contextmanager
    def _answer(self, call: Call[T], attempts: Attempts) -> Iterator[httpx.Response]:
        """Raises `ClientError` if it is no success, or breaks off while it is read."""
        with attempts.translating():
            request = self._http.build_request(call.method, call.path, timeout=attempts.timeout(), **call.body)
            response = self._http.send(request, stream=True)
            try:
                if not response.is_success:
                    response.read()
                    raise refused(response)
                yield response
            finally:
                response.close()


def _in_time(pieces: Iterator[T], attempts: Attempts) -> Iterator[T]:
    """Raises `OutOfTime`."""
    for piece in pieces:
        attempts.left_s()
        yield piece
