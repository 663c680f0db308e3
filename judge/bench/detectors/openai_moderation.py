"""Any service with OpenAI's `POST /v1/moderations`: the hosted one, or `judge serve`. One picture in every request.

Source: https://platform.openai.com/docs/api-reference/moderations. Not here: when a call is tried again
(`judge.client.attempts`).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import os
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

import httpx
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from judge import __version__
from judge.bench.detectors.base import DetectorInfo, DetectorSettings, Prediction
from judge.bench.detectors.common_names import COMMON, ON_PICTURES, OPENAI
from judge.bench.detectors.options import read_options
from judge.bench.detectors.per_frame import abstained, failed, highest
from judge.bench.detectors.pictures import PICTURES, frames_of, why_not
from judge.client.attempts import Attempts, Limits, refused
from judge.client.connection import headers, service_url
from judge.client.errors import ClientError, Unavailable, UnreadableAnswer
from judge.config import Settings
from judge.errors import AnswerError, ConfigError, EngineError, JudgeError, MediaError
from judge.sources.categories import Category
from judge.types import Frame, Media

HOSTED = "https://api.openai.com/v1"
_HOSTED_KEY = "OPENAI_API_KEY"
_MODEL = "omni-moderation-latest"
_DECIDED_AT = 0.5
_MAX_ANSWER_BYTES = 1 << 20
_SHORTEST_SECRET = 6


class ModerationOptions(Settings):
    """Options of `openai-moderation`."""

    categories: Literal["pictures", "all"] = "pictures"
    """Kinds of harm that it is measured on: those of the six categories that the hosted service scores on pictures, or
    of all thirteen, for a service that does."""
    send_text: bool = True
    """Send the words that were posted with a picture, too."""
    image_format: Literal["png", "jpeg"] = "png"
    """How pictures are sent. `png` is lossless; `jpeg` is smaller and may change the scores."""
    max_frames: Annotated[int, Field(ge=1)] = 1
    """Frames of an animation that are sent, a request each, evenly spread; the highest scores count."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    """Requests on their way at the same time."""
    timeout_s: Annotated[float, Field(gt=0.0, le=3600.0, allow_inf_nan=False)] = 120.0
    """For one picture, all tries and pauses together."""
    max_retries: Annotated[int, Field(ge=0, le=20)] = 4
    """Further tries after 429, 5xx, or no connection. Other refusals are final."""
    usd_per_request: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] | None = None
    """What an answered request costs; null = not known. The hosted service is free of charge."""


class _Finding(BaseModel):
    model_config = ConfigDict(extra="ignore")
    reason: str = ""


class _Verdict(BaseModel):
    """What `judge serve` adds to each result."""

    model_config = ConfigDict(extra="ignore")
    decision: Literal["unsafe", "safe", "uncertain"]
    findings: tuple[_Finding, ...] = ()


class _Result(BaseModel):
    """Of an answer: whatever else a service sends is ignored, but these must be what they are."""

    model_config = ConfigDict(extra="ignore")
    flagged: Annotated[bool, Field(strict=True)]
    category_scores: Mapping[str, Annotated[float, Field(strict=True, ge=0.0, le=1.0, allow_inf_nan=False)] | None]
    category_applied_input_types: Mapping[str, tuple[str, ...] | None] | None = None
    visual_judge: _Verdict | None = None


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")
    results: tuple[_Result, ...]


class OpenAIModeration:
    """See `judge.bench.detectors.base.Detector`. The score is the highest of the categories.

    Only the configured address is asked: redirects are not followed, proxies of the environment are not used.

    Args:
        settings: `threshold` None = flagged as the service says.
        api_key: None = none is sent.
    """

    def __init__(self, settings: DetectorSettings, options: ModerationOptions, *, api_key: str | None = None) -> None:
        self._url = f"{_checked(settings.base_url or HOSTED)}/moderations"
        self._model = settings.model or _MODEL
        self._options = options
        self._threshold = settings.threshold
        self._key = SecretStr(api_key or "")
        self._headers = headers(api_key)
        self._closed = False
        self._info = self._describe(settings)

    @classmethod
    def from_settings(cls, settings: DetectorSettings) -> Self:
        """Nothing is asked yet: a service that is away shows in the predictions."""
        options = read_options(ModerationOptions, settings, uses=("model", "base_url", "api_key_env"))
        return cls(settings, options, api_key=_key_of(settings))

    @property
    def info(self) -> DetectorInfo:
        return self._info

    async def detect(self, media: Sequence[Media]) -> list[Prediction]:
        if not media:
            return []
        slots = asyncio.Semaphore(self._options.concurrency)
        async with httpx.AsyncClient(headers=self._headers, follow_redirects=False, trust_env=False) as http:
            return list(await asyncio.gather(*(self._one(http, slots, each) for each in media)))

    async def close(self) -> None:
        self._closed = True

    async def _one(self, http: httpx.AsyncClient, slots: asyncio.Semaphore, media: Media) -> Prediction:
        if reason := why_not(media):
            return abstained(reason)
        try:
            frames = frames_of(media, self._options.max_frames)
            found: list[Prediction] = []
            for frame in frames:
                async with slots:
                    found.append(await self._ask(http, frame, media.text))
            return highest(found)
        except JudgeError as error:
            return failed(EngineError(self._without_key(str(error))))

    async def _ask(self, http: httpx.AsyncClient, frame: Frame, text: str) -> Prediction:
        if self._closed:
            raise EngineError("detector 'openai-moderation' is closed")
        body = await asyncio.to_thread(self._body, frame, text)
        started_s = time.perf_counter()
        content = await self._post(http, body)
        found = self._read(_result(content))
        return Prediction(
            found.score, found.flagged, found.category_scores, reason=found.reason,
            model_s=time.perf_counter() - started_s, cost_usd=self._options.usd_per_request,
        )  # fmt: skip

    def _body(self, frame: Frame, text: str) -> bytes:
        parts: list[dict[str, object]] = [{"type": "image_url", "image_url": {"url": self._data_url(frame)}}]
        if text and self._options.send_text:
            parts.insert(0, {"type": "text", "text": text})
        return json.dumps({"model": self._model, "input": parts}).encode()

    def _data_url(self, frame: Frame) -> str:
        kind, file = self._options.image_format, io.BytesIO()
        try:
            Image.fromarray(frame.image).save(file, kind.upper(), **({"quality": 95} if kind == "jpeg" else {}))
        except (OSError, ValueError) as error:
            raise MediaError(f"frame {frame.index} cannot be written as {kind}: {error}") from error
        return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"

    async def _post(self, http: httpx.AsyncClient, body: bytes) -> bytes:
        """The answer's body. Raises `ClientError`."""
        attempts = Attempts(Limits(self._options.timeout_s, self._options.max_retries))
        while True:
            try:
                # Of the whole exchange: a server that drips byte by byte passes the time limits of single reads.
                async with attempts.limiting():
                    return await self._try(http, body, attempts)
            except ClientError as error:
                await asyncio.sleep(attempts.pause_s(_may_go_better(error)))

    async def _try(self, http: httpx.AsyncClient, body: bytes, attempts: Attempts) -> bytes:
        kind = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        with attempts.translating():
            async with http.stream(
                "POST", self._url, content=body, headers=kind, timeout=attempts.timeout()
            ) as response:
                content = await _bounded(response)
        if response.is_redirect:
            hint = "redirects are not followed; give the final address as base_url if you trust it"
            raise UnreadableAnswer(f"the service redirects (status {response.status_code})", hint=hint)
        if response.status_code != 200:
            raise refused(httpx.Response(response.status_code, headers=_plain(response), content=content))
        return content

    def _read(self, result: _Result) -> Prediction:
        """Raises `AnswerError` where no known category was scored."""
        applied = result.category_applied_input_types or {}
        known = {
            name: score
            for name, score in result.category_scores.items()
            if name in OPENAI and score is not None and applied.get(name) != ()
        }
        if not known:
            raise AnswerError("the service scored none of OpenAI's categories")
        score = max(known.values())
        verdict = result.visual_judge
        if verdict is not None and verdict.decision == "uncertain":
            told = next((each.reason for each in verdict.findings if each.reason), "it does not say why")
            return Prediction(score, None, _by_kind(known), reason=f"the service is uncertain: {told}")
        flagged = result.flagged if self._threshold is None else score >= self._threshold
        return Prediction(score, flagged, _by_kind(known))

    def _without_key(self, text: str) -> str:
        """Services repeat what they were sent."""
        key = self._key.get_secret_value()
        return text.replace(key, "[hidden]") if len(key) >= _SHORTEST_SECRET else text

    def _describe(self, settings: DetectorSettings) -> DetectorInfo:
        chosen = tuple(OPENAI) if self._options.categories == "all" else ON_PICTURES
        seen = {
            "package": __version__, "url": self._url, "model": self._model, "threshold": self._threshold,
            "options": self._options.model_dump(include={"categories", "send_text", "image_format", "max_frames"}),
        }  # fmt: skip
        shown = f", {self._threshold:g}" if self._threshold is not None else ""
        host = "" if not settings.base_url else f" at {httpx.URL(self._url).netloc.decode('ascii')}"
        return DetectorInfo(
            name=settings.label or f"openai-moderation({self._model}{host}{shown})",
            digest=hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest(),
            modalities=PICTURES,
            categories=frozenset(kind for name in chosen for kind in OPENAI[name]),
            threshold=_DECIDED_AT if self._threshold is None else self._threshold,
            reads_text=self._options.send_text,
            source="https://platform.openai.com/docs/guides/moderation",
        )


def _checked(base_url: str) -> str:
    """With the contract's `/v1` where there is no path. Raises `ConfigError`; what a wrong address may hold of secrets
    is not repeated."""
    url = httpx.URL(service_url(base_url))
    if url.userinfo or url.query or url.fragment:
        raise ConfigError("the service's address must be plain, without user, query or fragment")
    return str(url).rstrip("/") + ("/v1" if url.path == "/" else "")


def _key_of(settings: DetectorSettings) -> str | None:
    """The hosted service's usual variable counts for the hosted service alone."""
    variable = settings.api_key_env or ("" if settings.base_url else _HOSTED_KEY)
    if not variable:
        return None
    key = os.environ.get(variable, "")
    if not key:
        hint = "set it, or give base_url=URL of a service of your own"
        shown = variable if variable.isidentifier() else "that api_key_env names"
        raise ConfigError(f"detector '{settings.name}': the environment variable {shown} holds no key", hint=hint)
    return key


def _result(content: bytes) -> _Result:
    """Raises `AnswerError` for anything but one result in OpenAI's shape."""
    try:
        answer = _Answer.model_validate_json(content)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_url=False)[0]["loc"]) or "the whole"
        raise AnswerError(f"the service's answer is not OpenAI's: {where[:80]} is wrong or missing") from error
    if len(answer.results) != 1:
        raise AnswerError(f"the service gave {len(answer.results)} results for one picture")
    return answer.results[0]


def _may_go_better(error: ClientError) -> ClientError:
    """Every 5xx of a stranger's service is tried again, not only those that ours means so."""
    if error.status is None or error.status < 500:
        return error
    return Unavailable(error.message, hint=error.hint, status=error.status, retry_after_s=error.retry_after_s)


def _by_kind(scores: Mapping[str, float]) -> dict[Category, float]:
    found: dict[Category, float] = {}
    for name, score in scores.items():
        for kind in OPENAI[name]:
            found[kind] = max(score, found.get(kind, 0.0))
    return {kind: found[kind] for kind in COMMON if kind in found}


async def _bounded(response: httpx.Response) -> bytes:
    """Compressed answers were not asked for, and would slip under the limit."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise UnreadableAnswer("the service compressed its answer although it was told not to")
    content = bytearray()
    async for part in response.aiter_raw():
        content += part
        if len(content) > _MAX_ANSWER_BYTES:
            raise UnreadableAnswer(f"the service's answer has more than {_MAX_ANSWER_BYTES >> 20} MiB")
    return bytes(content)


def _plain(response: httpx.Response) -> dict[str, str]:
    """The headers that say when to come back, and which request it was."""
    names = ("retry-after", "x-request-id")
    return {name: response.headers[name] for name in names if name in response.headers}
