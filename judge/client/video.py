"""Video jobs as AWS Rekognition shapes them: started, asked for, and read in pages."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_pascal

from judge.client.calls import Call, checked_stages, json_body, reads, segment
from judge.client.errors import ClientError, OutOfTime
from judge.client.media import Upload
from judge.config import StageChoice
from judge.types import DecisionLabel, InputError, Probability

JobStatus = Literal["IN_PROGRESS", "SUCCEEDED", "FAILED", "CANCELLED"]
SortBy = Literal["NAME", "TIMESTAMP"]
AggregateBy = Literal["TIMESTAMPS", "SEGMENTS"]


class JobFailed(ClientError):
    """The video was not judged; that it has no labels does not make it safe."""

    code: ClassVar[str] = "job_failed"


class _Aws(BaseModel):
    """`job_id` here is `JobId` on the wire; what this client does not know is left out."""

    model_config = ConfigDict(frozen=True, alias_generator=to_pascal, populate_by_name=True)


class ModerationLabel(_Aws):
    """A rule that is violated."""

    name: str
    """Id of the rule."""
    parent_name: str
    """Id of its category."""
    taxonomy_level: int
    """2: rules lie below categories."""
    confidence: float
    """How probable the violation is, in percent."""


class TimedLabel(_Aws):
    """A label, and when, in milliseconds from the beginning."""

    timestamp: int
    """Of the frame, or where the segment begins."""
    moderation_label: ModerationLabel
    """What was found."""
    start_timestamp_millis: int | None = None
    """Beginning of the segment; None if labels are aggregated by timestamps."""
    end_timestamp_millis: int | None = None
    """End of the segment; None if labels are aggregated by timestamps."""
    duration_millis: int | None = None
    """Length of the segment; None if labels are aggregated by timestamps."""


class VideoMetadata(_Aws):
    """What is known of the video."""

    duration_millis: int | None = None
    """Length."""
    frames_judged: int | None = None
    """Frames that were looked at."""


class VideoJob(_Aws):
    """A job, and a page of what was found."""

    job_id: str
    """For asking again."""
    job_status: JobStatus
    """SUCCEEDED = judged, whatever was found."""
    status_message: str = ""
    """In words, where it is or why it failed."""
    job_tag: str | None = None
    """As given."""
    constitution: str = ""
    """`name@version` that is applied."""
    created_at: datetime | None = None
    """When it was taken."""
    ended_at: datetime | None = None
    """When it ended."""
    decision: DecisionLabel | None = None
    """None unless the job has succeeded. No labels does not mean safe: this does."""
    flagged: bool | None = None
    """True for unsafe, False for safe, None for uncertain or without a verdict."""
    score: Probability | None = None
    """Highest rule score; None without a verdict."""
    verdict_id: str | None = None
    """For `verdict`, where the service keeps them."""
    error: InputError | None = None
    """Why it failed."""
    video_metadata: VideoMetadata | None = None
    """None without a verdict."""
    moderation_labels: tuple[TimedLabel, ...] = ()
    """One page of the rules that are violated, and when; all of them from `wait_for_video_job`."""
    next_token: str | None = None
    """For the next page, with the same parameters; None on the last one."""


class StartedJob(_Aws):
    """A job that was taken."""

    job_id: str
    """For asking."""


def start_call(
    video: Upload,
    *,
    constitution: str | None = None,
    stages: StageChoice | Mapping[str, object] | None = None,
    min_confidence: float | None = None,
    token: str | None = None,
    tag: str | None = None,
    webhook_url: str | None = None,
) -> Call[StartedJob]:
    """The same token starts no second job, so that a call can be tried again: there is always one."""
    given = {
        "Constitution": constitution,
        "Stages": checked_stages(stages).model_dump(mode="json", exclude_none=True) or None,
        "MinConfidence": min_confidence,
        "ClientRequestToken": token or uuid.uuid4().hex,
        "JobTag": tag,
        "WebhookUrl": webhook_url,
    }
    options = {name: value for name, value in given.items() if value is not None}
    return Call("POST", "v1/video/jobs", reads(StartedJob), _start_body(video, options))


def job_call(
    id: str, *, sort_by: SortBy = "TIMESTAMP", aggregate_by: AggregateBy = "TIMESTAMPS", next_token: str | None = None
) -> Call[VideoJob]:
    params: dict[str, str] = {"SortBy": sort_by, "AggregateBy": aggregate_by}
    params |= {} if next_token is None else {"NextToken": next_token}
    return Call("GET", f"v1/video/jobs/{segment(id)}", reads(VideoJob), {"params": params})


def delete_call(id: str) -> Call[None]:
    return Call("DELETE", f"v1/video/jobs/{segment(id)}", lambda _: None)


def has_succeeded(job: VideoJob) -> bool:
    """False while it is under way. Raises `JobFailed` if it has ended otherwise."""
    if job.job_status in ("FAILED", "CANCELLED"):
        reason = job.error.message if job.error else job.status_message or "no reason is given"
        raise JobFailed(
            f"video job '{job.job_id}' has status {job.job_status}: {reason}", hint=job.error.hint if job.error else ""
        )
    return job.job_status == "SUCCEEDED"


def still_under_way(id: str, timeout_s: float) -> OutOfTime:
    return OutOfTime(f"video job '{id}' is still under way after {timeout_s:g} s", hint="it goes on; ask again later")


def joined(pages: Sequence[VideoJob]) -> VideoJob:
    """All pages as one."""
    labels = tuple(label for page in pages for label in page.moderation_labels)
    return pages[0].model_copy(update={"moderation_labels": labels, "next_token": None})


def _start_body(video: Upload, options: Mapping[str, object]) -> dict[str, Any]:
    if video.data is None:
        item = video.item().model_dump(mode="json", exclude_defaults=True)
        return json_body(json.dumps({"Video": item, **options}))
    return {
        "files": [("video", (video.name, video.data, "application/octet-stream"))],
        "data": {"options": json.dumps(options)},
    }
