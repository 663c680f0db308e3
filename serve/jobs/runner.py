"""Runs video jobs: claims one, judges it, writes what became of it; again and again.

What is retried: whatever is not the video's fault. A worker that dies says nothing, and its job begins again when the
lease ends, here or in another process.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from contextlib import suppress

from judge.client.wire import JudgeResult
from judge.constitution import Constitution
from judge.errors import EngineError, JudgeError, MediaError
from judge.media.reference import InlineMedia, UrlMedia
from judge.types import InputError
from serve.backend import Backend, Reply, Work
from serve.jobs.webhooks import message_about
from serve.problems import Overloaded, StoreError, to_api_error
from serve.running import last_reply
from serve.settings import JobSettings
from serve.store.jobs import ClaimedJob, End, JobRequest, JobTable
from serve.store.media import WaitingMedia

_LOG = logging.getLogger(__name__)
_LOOK_AGAIN_S = 0.5
_RENEW_S = 2.0
"""Most seconds between two renewals: so soon a worker sees that its job was cancelled."""
_LONGEST_PAUSE_S = 60.0


class JobRunner:
    """One worker; several run side by side, in this process or others.

    Args:
        first_pause_s: Before a job begins again after its first failure; then twice as long each time.
        on_end: Told whether a job that ended here has succeeded.
    """

    def __init__(
        self,
        jobs: JobTable,
        media: WaitingMedia,
        backend: Backend,
        settings: JobSettings,
        *,
        first_pause_s: float = 1.0,
        on_end: Callable[[bool], None] = lambda _: None,
    ) -> None:
        self._jobs = jobs
        self._media = media
        self._backend = backend
        self._settings = settings
        self._first_pause_s = first_pause_s
        self._on_end = on_end

    async def run(self) -> None:
        """Until it is cancelled. The job under way then goes back, as if it had not begun."""
        while True:
            try:
                job = await self._claim()
                if job is None:
                    await asyncio.sleep(_LOOK_AGAIN_S)
                else:
                    await self._hold(job)
            except StoreError:
                _LOG.exception("the store cannot be used; jobs wait")
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def _claim(self) -> ClaimedJob | None:
        claiming = asyncio.create_task(
            self._jobs.claim(self._settings.lease_s, self._settings.max_attempts, died_too_often)
        )
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            with suppress(StoreError):
                if (job := await claiming) is not None:  # ours already, and nobody would know before the lease is over
                    await self._jobs.put_back(job, 0.0, counts=False)
            raise

    async def _hold(self, job: ClaimedJob) -> None:
        """Judge while the lease is renewed; stop when it is lost."""
        judging = asyncio.create_task(self._judge(job))
        renewing = asyncio.create_task(self._renew(job))
        try:
            await asyncio.wait((judging, renewing), return_when=asyncio.FIRST_COMPLETED)
            if judging.done():
                await self._settle(job, judging)
            else:
                _LOG.info("job %s was cancelled, or taken over", job.id)
        except asyncio.CancelledError:
            with suppress(StoreError):
                await asyncio.shield(self._jobs.put_back(job, 0.0, counts=False))
            raise
        finally:
            judging.cancel()
            renewing.cancel()
            await asyncio.gather(judging, renewing, return_exceptions=True)

    async def _renew(self, job: ClaimedJob) -> None:
        """Returns when the job is no longer ours."""
        lease_s = self._settings.lease_s
        ends_at = time.monotonic() + lease_s
        while time.monotonic() < ends_at:
            await asyncio.sleep(min(_RENEW_S, lease_s / 3))
            began = time.monotonic()
            with suppress(StoreError):
                if not await self._jobs.renew(job, lease_s):
                    return
                ends_at = began + lease_s

    async def _judge(self, job: ClaimedJob) -> JudgeResult:
        """Raises `MediaError` for the video, and other errors for what is not its fault."""
        constitution = await asyncio.to_thread(Constitution.model_validate_json, job.policy)
        work = Work(
            await asyncio.to_thread(self._read, job), job.request.name, constitution, job.request.stages,
            job.request.text, deadline_s=self._settings.deadline_s,
        )  # fmt: skip
        return _result(await last_reply(self._backend, work))

    def _read(self, job: ClaimedJob) -> InlineMedia | UrlMedia:
        if job.media_digest is None:
            return UrlMedia(url=job.request.url or "")
        return InlineMedia(data=self._media.read(job.id, job.media_digest), name=job.request.name)

    async def _settle(self, job: ClaimedJob, judging: asyncio.Task[JudgeResult]) -> None:
        # Cancelled by itself = something below it broke: it is not this worker that ends.
        error = EngineError("the work on it was broken off") if judging.cancelled() else judging.exception()
        if error is None:
            await self._end(job, judging.result(), None)
            return
        if not isinstance(error, JudgeError):
            _LOG.error("unforeseen error in job %s", job.id, exc_info=error)
            error = JudgeError("unforeseen")
        if _is_final(error):
            await self._end(job, None, _shown(error))
        elif isinstance(error, Overloaded):
            await self._jobs.put_back(job, error.retry_after_s, counts=False)
        elif job.attempt >= self._settings.max_attempts:
            await self._end(job, None, _given_up(job, error))
        else:
            _LOG.warning("job %s, attempt %d: %s", job.id, job.attempt, error.message)
            pause_s = min(self._first_pause_s * 2 ** (job.attempt - 1), _LONGEST_PAUSE_S)
            await self._jobs.put_back(job, pause_s, counts=True)

    async def _end(self, job: ClaimedJob, result: JudgeResult | None, error: InputError | None) -> None:
        end = End(result, error, message_about(job.id, job.request, result, error))
        if await self._jobs.end(job, end):
            self._on_end(error is None)
            await asyncio.to_thread(self._media.remove, job.id, job.media_digest)


def died_too_often(job_id: str, request: JobRequest) -> End:
    """The end of a job whose workers never came to say what was wrong."""
    error = InputError(
        code="worker_died", message="the job was begun again and again, and the service ended under it every time"
    )
    return End(None, error, message_about(job_id, request, None, error))


def _result(reply: Reply) -> JudgeResult:
    row = reply.row
    if row.error is not None:
        raise MediaError(row.error.message, hint=row.error.hint)
    if row.verdict is None:
        raise EngineError("there is no verdict")
    if row.verdict.media_kind == "image":
        raise MediaError("this is a picture, not a video", hint="use POST /v1/judge")
    return JudgeResult(
        id=uuid.uuid4().hex, input=row.input, decision=row.decision, flagged=row.flagged, score=row.verdict.score,
        verdict=row.verdict, cached=reply.cached,
    )  # fmt: skip


def _is_final(error: JudgeError) -> bool:
    """Whether another attempt would end the same way: it is the video's fault, or the request's."""
    return not isinstance(error, Overloaded) and 400 <= to_api_error(error).status < 500


def _shown(error: JudgeError) -> InputError:
    told = to_api_error(error)
    return InputError(code=told.error_code, message=told.message, hint=told.hint)


def _given_up(job: ClaimedJob, error: JudgeError) -> InputError:
    told = _shown(error)
    return InputError(code=told.code, message=f"{told.message} (the last of {job.attempt} attempts)", hint=told.hint)
