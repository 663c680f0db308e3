"""The body of `POST /v1/video/jobs`, JSON or multipart, as options and one video."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from starlette.requests import Request

from judge.errors import quoted
from judge.media.reference import InlineMedia
from judge.media.signature import sniff
from serve.problems import ApiError
from serve.reading import Given, content_kind, given, invalid, parse, parse_form, read_file, read_options, whole_body
from serve.schemas.jobs import VideoJobOptions, VideoJobRequest
from serve.settings import HttpSettings

_PARTS = {"video", "options"}


@dataclass(frozen=True, slots=True)
class AskedJob:
    """A request, read. `media_digest` is None for a video by URL."""

    options: VideoJobOptions
    video: Given
    media_digest: str | None

    def digest(self) -> str:
        """Of everything that was asked."""
        asked = (
            self.options.model_dump(mode="json"), self.video.name, self.video.text,
            self.media_digest or getattr(self.video.media, "url", ""),
        )  # fmt: skip
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


async def read_job(request: Request, http: HttpSettings) -> AskedJob:
    """Read the body of a request.

    Raises:
        ApiError: 400, 413, 415 or 422: it is not what it says, too large, of another type, or something in it is wrong.
    """
    options, video = await (_read_form if content_kind(request) == "form" else _read_json)(request, http)
    if not isinstance(video.media, InlineMedia):
        return AskedJob(options, video, None)
    _check_video(video.media.data)
    return AskedJob(options, video, hashlib.sha256(video.media.data).hexdigest())


async def _read_json(request: Request, http: HttpSettings) -> tuple[VideoJobOptions, Given]:
    body = parse(VideoJobRequest, await whole_body(request))
    options = VideoJobOptions.model_construct(**{name: getattr(body, name) for name in VideoJobOptions.model_fields})
    return options, given(body.video, "video", http)


async def _read_form(request: Request, http: HttpSettings) -> tuple[VideoJobOptions, Given]:
    form = await parse_form(request, http)
    try:
        unknown = sorted(set(form) - _PARTS)
        if unknown:
            raise invalid(f"unknown part {quoted(unknown[0])}", unknown[0][:50], "parts are video and options")
        files = form.getlist("video")
        if len(files) != 1 or isinstance(files[0], str):
            raise invalid("there must be one part 'video', which is a file", "video", "one job is about one video")
        options = read_options(VideoJobOptions, form.getlist("options"))
        return options, await read_file(files[0], "video", "", http)
    finally:
        await form.close()


def _check_video(data: bytes) -> None:
    """Refuse at once what no worker could read."""
    kind = sniff(data).kind
    if kind not in ("video", "image"):
        raise ApiError(422, "not_a_video", "this is not a video that can be read", param="Video")
    if kind == "image":
        raise ApiError(
            422, "not_a_video", "this is a picture, not a video", hint="use POST /v1/judge", param="Video"
        )  # fmt: skip
