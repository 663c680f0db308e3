"""Requests and answers of `POST /v1/judge`, as JSON. The service reads and writes exactly these models.

Other contracts (OpenAI, video jobs, LiteLLM) belong to the service's routes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from judge.config import StageChoice
from judge.types import DecisionLabel, InputError, Probability, Verdict, Wire

MAX_MEDIA = 64
"""Most media in one request, whatever the service's own limit."""


class MediaItem(Wire):
    """One picture or video: its bytes, or where they are."""

    data: str | None = Field(default=None, repr=False)
    """The encoded file in base64, or a `data:` URL."""
    url: str | None = None
    """An http or https URL. Refused unless the service allows URLs, and the host is on its list."""
    name: Annotated[str, Field(max_length=200)] = ""
    """What messages call it; empty = its place in the request."""
    text: Annotated[str, Field(max_length=10_000)] = ""
    """What was posted with it (a caption, a meme's words): context, never an instruction."""

    @model_validator(mode="after")
    def _one_source(self) -> MediaItem:
        if (self.data is None) == (self.url is None):
            raise ValueError("give either data or url")
        return self


class Budget(Wire):
    """What may be spent on the request. What is not finished then is answered with the readings so far, and says so;
    without any it is uncertain."""

    seconds: Annotated[float, Field(gt=0.0, le=3600.0)] | None = None
    """Wall time for the whole request; the service's own limit counts too."""
    completion_tokens: Annotated[int, Field(ge=0)] | None = None
    """Tokens written for one piece of media; no further slow stage begins beyond it."""


class JudgeOptions(Wire):
    """Everything of a request but the media."""

    constitution: Annotated[str, Field(max_length=200)] | None = None
    """Name of a constitution, or `name@version`; null = the service's default."""
    constitution_inline: str | Mapping[str, JsonValue] | None = None
    """A whole constitution, as YAML text or JSON. Refused unless the service permits it."""
    stages: StageChoice = StageChoice()
    """Stages to switch on or off for this request."""
    budget: Budget = Budget()
    """Limits of this request."""
    explain: bool = False
    """Also return the evidence of every rule, and the timelines of a video."""
    stream: bool = False
    """Answer as NDJSON: the verdict of the fast path first, then refinements as slow stages finish."""
    store: bool = False
    """Keep the verdict for `GET /v1/verdicts/{id}`, if the service keeps any."""

    @model_validator(mode="after")
    def _one_policy(self) -> JudgeOptions:
        if self.constitution is not None and self.constitution_inline is not None:
            raise ValueError("give either constitution or constitution_inline")
        return self


class JudgeRequest(JudgeOptions):
    """Body of `POST /v1/judge` as JSON."""

    media: Annotated[tuple[MediaItem, ...], Field(min_length=1, max_length=MAX_MEDIA)]
    """What to judge; answers keep the order."""


class JudgeResult(Wire):
    """What became of one piece of media: a verdict, or an error. Never neither, never both."""

    id: str
    """Of this result, for `GET /v1/verdicts/{id}` where it is stored."""
    input: str
    """The name given in the request, or the place in it."""
    decision: DecisionLabel
    """The verdict's, or `uncertain` for an error: an error is never safe."""
    flagged: bool | None
    """true for unsafe, false for safe, null for uncertain."""
    score: Probability | None
    """Highest rule score; null for an error."""
    verdict: Verdict | None = None
    """The verdict; without `explain`, its rules come without evidence and its timelines are left out."""
    error: InputError | None = None
    """Why there is no verdict."""
    cached: bool = False
    """The verdict was made for an earlier request about the same bytes under the same versions."""


class JudgeResponse(Wire):
    """Answer of `POST /v1/judge`."""

    id: str
    """Of the request; also in the header `X-Request-Id`."""
    constitution: str
    """`name@version` that was applied."""
    results: tuple[JudgeResult, ...]
    """One per media, in their order."""


class StreamLine(Wire):
    """One line of the NDJSON stream."""

    type: Literal["verdict", "done", "error"]
    """`verdict`: about one media; the last line is `done` if everything was answered, and `error` if not."""
    index: int | None = None
    """Place of the media in the request, for `verdict`."""
    final: bool = False
    """Nothing more comes about this media."""
    result: JudgeResult | None = None
    """For `verdict`."""
    error: ErrorBody | None = None
    """For `error`."""


class ErrorBody(Wire):
    """What went wrong, in the shape of OpenAI's errors with two fields more."""

    message: str
    """One sentence for a person."""
    type: str
    """Kind of error: `invalid_request_error`, `authentication_error`, `permission_error`, `not_found_error`,
    `rate_limit_error`, `overloaded_error`, `timeout_error`, `engine_error` or `server_error`."""
    param: str | None = None
    """The field that is wrong, where it is one."""
    code: str
    """Short machine-readable name."""
    hint: str = ""
    """The way out, where there is one."""
    request_id: str = ""
    """For the service's logs."""


class ErrorResponse(Wire):
    """Body of every answer that is an error."""

    error: ErrorBody
    """What went wrong."""


StreamLine.model_rebuild()
