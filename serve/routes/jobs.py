"""`/v1/video/jobs`: videos that are judged later. What runs them: `serve.jobs`."""

from __future__ import annotations

import asyncio
import uuid
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response

from judge.client.wire import JudgeOptions
from judge.constitution import Constitution
from judge.errors import JudgeError
from judge.media.reference import InlineMedia, UrlMedia
from serve.choices import check_stages
from serve.context import Caller, Context
from serve.jobs.labels import View, page_of
from serve.jobs.reading import AskedJob, read_job
from serve.jobs.webhooks import check_webhook_url
from serve.limits import admit_media
from serve.logs import facts_of
from serve.openapi import VIDEO_JOB_BODY, errors
from serve.problems import ApiError
from serve.routes.judging import chosen_policy
from serve.schemas.jobs import (
    MAX_RESULTS,
    AggregateBy,
    JobStatusName,
    SortBy,
    StartedJob,
    VideoJob,
    VideoJobOptions,
    VideoMetadata,
)
from serve.store.jobs import JobRequest, JobState, JobStatus, NewJob
from serve.store.opening import Store

_NAMES: dict[JobState, JobStatusName] = {
    "queued": "IN_PROGRESS", "running": "IN_PROGRESS", "succeeded": "SUCCEEDED", "failed": "FAILED",
    "cancelled": "CANCELLED",
}  # fmt: skip
_Id = Annotated[str, Path(max_length=64, description="Of a job that was started with the same API key.")]


def router(context: Context) -> APIRouter:
    routes = APIRouter(prefix="/v1/video", tags=["video jobs"])

    allowed = Depends(context.gate.require("judge"))

    @routes.post(
        "/jobs", status_code=202, openapi_extra=VIDEO_JOB_BODY, responses=errors(404, 409, 415, 422, 429, 503)
    )  # fmt: skip
    async def start(request: Request, caller: Caller = allowed) -> StartedJob:
        """Take a video to be judged.

        A job that was taken survives a restart; it may be begun more than once, and has one result. With a
        `ClientRequestToken`, the same request is the same job.
        """
        store = _store(context)
        asked = await read_job(request, context.settings.http)
        admit_media(request, 1)
        facts_of(request.scope).n_media = 1
        known = await store.jobs.known(caller.key_id, asked.options.client_request_token, asked.digest())
        return StartedJob(job_id=known or await _take(context, store, caller, asked))

    @routes.get("/jobs/{id}", responses=errors(404, 422, 503))
    async def look(
        id: _Id,
        caller: Caller = allowed,
        *,
        sort_by: Annotated[SortBy, Query(description="Order of the labels.")] = "TIMESTAMP",
        aggregate_by: Annotated[
            AggregateBy, Query(description="A label for each frame that shows it, or for each stretch of the video.")
        ] = "TIMESTAMPS",
        max_results: Annotated[int, Query(ge=1, le=MAX_RESULTS, description="Labels on one page.")] = MAX_RESULTS,
        next_token: Annotated[
            str | None, Query(max_length=200, description="`NextToken` of the page before; none = the first page.")
        ] = None,
    ) -> VideoJob:
        """Where a job is, and what was found. Labels of a job that has ended stay the same from page to page."""
        found = await _store(context).jobs.find(caller.key_id, id)
        if found is None:
            raise _not_found()
        return _shown(found, View(sort_by, aggregate_by, max_results, found.request.min_confidence), next_token)

    @routes.delete("/jobs/{id}", status_code=204, responses=errors(404, 503))
    async def stop(id: _Id, caller: Caller = allowed) -> Response:
        """Cancel a job that has not ended; delete one that has, with its result. The video is deleted either way."""
        store = _store(context)
        found = await store.jobs.cancel_or_delete(caller.key_id, id)
        if found is None:
            raise _not_found()
        await asyncio.to_thread(store.media.remove, id, found.media_digest)
        return Response(status_code=204)

    return routes


async def _take(context: Context, store: Store, caller: Caller, asked: AskedJob) -> str:
    """Check everything, keep the video, write the job; returns its id."""
    options, settings = asked.options, context.settings
    check_stages(options.stages, settings.judge)
    if options.webhook_url is not None:
        check_webhook_url(options.webhook_url, settings.jobs.webhooks)
    policy = await chosen_policy(context, JudgeOptions(constitution=options.constitution))
    await context.gate.count_media(caller, 1)
    id, media = uuid.uuid4().hex, asked.video.media
    if asked.media_digest is not None and isinstance(media, InlineMedia):
        await asyncio.to_thread(store.media.keep, id, asked.media_digest, media.data)
    new = NewJob(
        id, caller.key_id, options.client_request_token, asked.digest(), _request(asked, policy), policy,
        asked.media_digest,
    )  # fmt: skip
    try:
        taken = await store.jobs.add(new, max_waiting=settings.jobs.max_waiting)
    except JudgeError:
        # Not when cancelled: the job may be written nevertheless, and then needs its video. Else it is swept later.
        await asyncio.to_thread(store.media.remove, id, asked.media_digest)
        raise
    if taken != id:
        await asyncio.to_thread(store.media.remove, id, asked.media_digest)
    return taken


def _request(asked: AskedJob, policy: Constitution) -> JobRequest:
    options: VideoJobOptions = asked.options
    return JobRequest(
        name=asked.video.name, url=asked.video.media.url if isinstance(asked.video.media, UrlMedia) else None,
        text=asked.video.text, constitution=f"{policy.name}@{policy.version}", stages=options.stages,
        min_confidence=options.min_confidence, job_tag=options.job_tag, webhook_url=options.webhook_url,
    )  # fmt: skip


def _shown(job: JobStatus, view: View, token: str | None) -> VideoJob:
    result = job.result
    verdict = result.verdict if result else None
    page, next_token = page_of(verdict, view, token) if verdict else ((), None)
    metadata = VideoMetadata(duration_millis=verdict.duration_ms, frames_judged=verdict.n_frames) if verdict else None
    return VideoJob(
        job_id=job.id, job_status=_NAMES[job.state], status_message=_message(job), job_tag=job.request.job_tag,
        constitution=job.request.constitution, attempts=job.attempts,
        created_at=datetime.fromtimestamp(job.created_at_s, UTC),
        ended_at=None if job.ended_at_s is None else datetime.fromtimestamp(job.ended_at_s, UTC),
        decision=result.decision if result else None, flagged=result.flagged if result else None,
        score=result.score if result else None, verdict_id=result.id if result else None, error=job.error,
        video_metadata=metadata, moderation_labels=page, next_token=next_token,
    )  # fmt: skip


def _message(job: JobStatus) -> str:
    match job.state:
        case "queued":
            return "waits for a worker" if job.attempts == 0 else f"begins again after {job.attempts} attempts"
        case "running":
            return "is being judged"
        case "succeeded":
            return "was judged"
        case "failed":
            return job.error.message if job.error else "failed"
        case "cancelled":
            return "was cancelled"


def _store(context: Context) -> Store:
    if context.store is None:
        raise ApiError(404, "no_jobs", "there are no video jobs here", type="not_found_error", hint="configure a store")
    return context.store


def _not_found() -> ApiError:
    hint = "a job is found with the API key that started it, for a while"
    return ApiError(404, "not_found", "there is no such job", type="not_found_error", hint=hint)
