"""Video jobs, shaped as AWS Rekognition shapes its content moderation, with fields of ours.

Source: Amazon Rekognition's API reference, StartContentModeration and GetContentModeration.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_pascal

from judge.client.wire import MediaItem
from judge.config import StageChoice
from judge.types import DecisionLabel, InputError, Probability, Wire

SortBy = Literal["NAME", "TIMESTAMP"]
AggregateBy = Literal["TIMESTAMPS", "SEGMENTS"]
JobStatusName = Literal["IN_PROGRESS", "SUCCEEDED", "FAILED", "CANCELLED"]
Percent = Annotated[float, Field(ge=0.0, le=100.0)]
MAX_RESULTS = 1000


class Pascal(Wire):
    """Names as AWS writes them."""

    model_config = ConfigDict(alias_generator=to_pascal, validate_by_name=True, validate_by_alias=True)


class VideoJobOptions(Pascal):
    """Everything that a video job is asked, but the video."""

    constitution: Annotated[str, Field(max_length=300)] | None = None
    """Name of a constitution, or `name@version`; null = the service's default; as it is when the job is taken."""
    stages: StageChoice = StageChoice()
    """Stages to switch on or off for this job."""
    min_confidence: Percent = 0.0
    """Labels below it, in percent, are left out of the answers. The decision does not depend on it."""
    client_request_token: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    """Chosen by the caller: the same request with the same token is the same job, however often it is sent."""
    job_tag: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,256}$")] | None = None
    """The caller's own word for the job; answered, and told by the webhook."""
    webhook_url: Annotated[str, Field(max_length=2000)] | None = None
    """Who is told when the job has ended. Refused unless the service allows its host."""


class VideoJobRequest(VideoJobOptions):
    """Body of `POST /v1/video/jobs` as JSON."""

    video: MediaItem
    """The video."""


class StartedJob(Pascal):
    """A job that was taken, now or with the same token before."""

    job_id: str
    """For `GET /v1/video/jobs/{id}`."""


class ModerationLabel(Pascal):
    """A rule that is violated."""

    name: str
    """Id of the rule."""
    parent_name: str
    """Id of its category."""
    taxonomy_level: Literal[2] = 2
    """Always 2: rules lie below categories."""
    confidence: Percent
    """How probable the violation is, in percent."""


class ContentModerationDetection(Pascal):
    """A label, and when."""

    timestamp: int
    """Milliseconds from the beginning: of the frame, or where the segment begins."""
    moderation_label: ModerationLabel
    """What was found."""
    start_timestamp_millis: int | None = None
    """Beginning of the segment; null if labels are aggregated by timestamps."""
    end_timestamp_millis: int | None = None
    """End of the segment; null if labels are aggregated by timestamps."""
    duration_millis: int | None = None
    """Length of the segment; null if labels are aggregated by timestamps."""


class VideoMetadata(Pascal):
    """What is known of the video."""

    duration_millis: int | None
    """Length."""
    frames_judged: int | None
    """Frames that were looked at."""


class VideoJob(Pascal):
    """A video job, and one page of what was found."""

    job_id: str
    """As it was answered when the job was taken."""
    job_status: JobStatusName
    """`IN_PROGRESS` also while it waits."""
    status_message: str
    """In words, where it is or why it failed."""
    job_tag: str | None
    """As given."""
    constitution: str
    """`name@version` that is applied."""
    attempts: int
    """How often it was begun."""
    created_at: datetime
    """When it was taken."""
    ended_at: datetime | None
    """When it ended."""
    decision: DecisionLabel | None
    """`unsafe`, `safe` or `uncertain`; null unless the job has succeeded. No labels does not mean safe: this does."""
    flagged: bool | None
    """true for unsafe, false for safe, null for uncertain or without a verdict."""
    score: Probability | None
    """Highest rule score; null without a verdict."""
    verdict_id: str | None
    """For `GET /v1/verdicts/{id}`, where the service keeps verdicts; null without a verdict."""
    error: InputError | None
    """Why it failed."""
    video_metadata: VideoMetadata | None
    """null without a verdict."""
    moderation_labels: tuple[ContentModerationDetection, ...]
    """One page of the rules that are violated, and when."""
    next_token: str | None
    """For the next page, with the same parameters; null on the last one."""


class WebhookData(Pascal):
    """What a webhook tells of a job."""

    job_id: str
    """Of the job that has ended."""
    job_status: JobStatusName
    """`SUCCEEDED` or `FAILED`."""
    job_tag: str | None
    """As given."""
    constitution: str
    """`name@version` that was applied."""
    decision: DecisionLabel | None
    """As in the answer about the job."""
    flagged: bool | None
    """As in the answer about the job."""
    verdict_id: str | None
    """As in the answer about the job."""
    error: InputError | None
    """As in the answer about the job."""


class WebhookEvent(Wire):
    """Body of a webhook, as Standard Webhooks recommends it."""

    type: Literal["video_job.succeeded", "video_job.failed"]
    """What happened."""
    timestamp: datetime
    """When it happened; the same at every attempt."""
    data: WebhookData
    """About what."""
