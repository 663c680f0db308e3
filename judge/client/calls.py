"""Every call of the service as a value: what to send, and how to read the answer. Nothing is sent from here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, NoReturn, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from judge.client.errors import ClientError, Refused, Unavailable, UnreadableAnswer, to_error
from judge.client.media import Upload
from judge.client.wire import Budget, ErrorBody, JudgeOptions, JudgeRequest, JudgeResponse, JudgeResult, StreamLine
from judge.config import StageChoice
from judge.errors import ConfigError, MediaError
from judge.types import InputError

T = TypeVar("T")


class ModelEntry(BaseModel):
    """A model that the service asks."""

    model_config = ConfigDict(frozen=True)

    id: str
    """Its name."""
    role: str
    """`judge`, or its name in the panel."""
    digest: str
    """Digest of weights, tokenizer and processor, as in the versions of verdicts."""
    runtime: str
    """Engine, number type and kind of device."""
    domain: str
    """What it was made for; empty = no stated limits."""
    capabilities: tuple[str, ...]
    """What it can do."""


class ConstitutionVersion(BaseModel):
    """One version of a constitution, as the service has it."""

    model_config = ConfigDict(frozen=True)

    name: str
    """Under which requests name it."""
    version: str
    """As the constitution says."""
    digest: str
    """sha256 of the canonical form, as in the versions of verdicts."""
    active: bool = True
    """Applied when a request names no version."""
    created_at: datetime | None = None
    """None = it came with the installation."""


class _ModelList(BaseModel):
    data: tuple[ModelEntry, ...]


class _VersionList(BaseModel):
    constitutions: tuple[ConstitutionVersion, ...]


class _ErrorAnswer(BaseModel):
    error: ErrorBody


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One call.

    Attributes:
        body: As httpx takes it: `content` or `data` and `files`, and `headers`.
        read: From the answer's body to its value.
    """

    method: str
    path: str
    read: Callable[[bytes], T]
    body: Mapping[str, Any] = field(default_factory=dict)


def judge_options(
    *,
    constitution: str | None = None,
    constitution_inline: str | Mapping[str, JsonValue] | None = None,
    stages: StageChoice | Mapping[str, object] | None = None,
    budget: Budget | Mapping[str, object] | None = None,
    explain: bool = False,
    store: bool = False,
    stream: bool = False,
) -> JudgeOptions:
    """Raises `ConfigError` if they cannot be."""
    with _naming_what_is_wrong():
        return JudgeOptions(
            constitution=constitution, constitution_inline=constitution_inline, stages=checked_stages(stages),
            budget=Budget.model_validate(budget or {}), explain=explain, store=store, stream=stream,
        )  # fmt: skip


def checked_stages(stages: StageChoice | Mapping[str, object] | None) -> StageChoice:
    """Raises `ConfigError` if they cannot be."""
    with _naming_what_is_wrong():
        return StageChoice.model_validate(stages or {})


def judge_call(uploads: Sequence[Upload], options: JudgeOptions) -> Call[list[JudgeResult]]:
    def read(content: bytes) -> list[JudgeResult]:
        results = list(_parsed(JudgeResponse, content).results)
        if len(results) != len(uploads):
            raise UnreadableAnswer(f"the service answered {len(results)} results for {len(uploads)} media")
        return results

    return Call("POST", "v1/judge", read, judge_body(uploads, options))


def judge_body(uploads: Sequence[Upload], options: JudgeOptions) -> dict[str, Any]:
    """Multipart, a quarter smaller than base64; JSON where the service shall fetch something."""
    if any(upload.data is None for upload in uploads):
        items = tuple(upload.item() for upload in uploads)
        request = JudgeRequest(media=items, **{name: getattr(options, name) for name in JudgeOptions.model_fields})
        return json_body(request.model_dump_json(exclude_defaults=True))
    return {
        "files": [("media", (upload.name, upload.data, "application/octet-stream")) for upload in uploads],
        "data": {
            "options": options.model_dump_json(exclude_defaults=True),
            "text": [upload.text for upload in uploads],
        },
    }


def json_body(text: str) -> dict[str, Any]:
    return {"content": text.encode(), "headers": {"Content-Type": "application/json"}}


def rows_or_raise(error: Refused, uploads: Sequence[Upload]) -> list[JudgeResult]:
    """None of the media could be read: an error in the place of each, as where only some cannot. Or raises `error`."""
    if error.error_code != MediaError.code or error.param != "media":
        raise error
    shown = InputError(code=error.error_code, message=error.message, hint=error.hint)
    return [
        JudgeResult(id="", input=upload.name, decision="uncertain", flagged=None, score=None, error=shown)
        for upload in uploads
    ]


def stream_line(text: str) -> StreamLine | None:
    """One line of a stream; None after the last one.

    Raises:
        ClientError: The line says that something failed.
    """
    line = _parsed(StreamLine, text.encode())
    if line.error is not None:
        raise to_error(_status_of(line.error), line.error, request_id="", retry_after_s=None)
    return None if line.type == "done" else line


def broken_off() -> NoReturn:
    """A stream that ended without its last line. Raises `Unavailable`."""
    raise Unavailable("the stream broke off before its last line", hint="what came before is valid; ask for the rest")


def models_call() -> Call[list[ModelEntry]]:
    return Call("GET", "v1/models", lambda content: list(_parsed(_ModelList, content).data))


def constitutions_call() -> Call[list[ConstitutionVersion]]:
    return Call("GET", "v1/constitutions", lambda content: list(_parsed(_VersionList, content).constitutions))


def put_constitution_call(name: str, text: str) -> Call[ConstitutionVersion]:
    body = {"content": text.encode(), "headers": {"Content-Type": "application/yaml"}}
    return Call("PUT", f"v1/constitutions/{segment(name)}", reads(ConstitutionVersion), body)


def verdict_call(id: str) -> Call[JudgeResult]:
    return Call("GET", f"v1/verdicts/{segment(id)}", reads(JudgeResult))


def ready_call() -> Call[None]:
    return Call("GET", "readyz", lambda _: None)


Model = TypeVar("Model", bound=BaseModel)


def reads(model: type[Model]) -> Callable[[bytes], Model]:
    """Reads an answer as this model. Raises `UnreadableAnswer` if it is something else."""
    return lambda content: _parsed(model, content)


def segment(name: str) -> str:
    """A name as one part of a path, whatever is in it. Raises `ConfigError` if nothing is."""
    if name in ("", ".", ".."):
        raise ConfigError(f"'{name}' is no name")
    return quote(name, safe="")


def refusal(status: int, content: bytes, request_id: str, retry_after_s: float | None) -> ClientError:
    """An answer that is not a success, as an error."""
    try:
        body = _ErrorAnswer.model_validate_json(content).error
    except ValidationError:
        body = None
    if status < 400:
        hint = "give the address that answers by itself: redirects are not followed, because the key would go along"
        return UnreadableAnswer(f"the service answered with status {status}", hint=hint, status=status)
    return to_error(status, body, request_id=request_id, retry_after_s=retry_after_s)


def _parsed(model: type[Model], content: bytes) -> Model:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise UnreadableAnswer(
            "the answer is not what this client knows", hint="compare the versions of client and service"
        ) from error


@contextmanager
def _naming_what_is_wrong() -> Iterator[None]:
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{where or 'the options'}: {first['msg']}") from error


def _status_of(body: ErrorBody) -> int:
    """Of an error inside of a stream, whose status was sent before."""
    return {"overloaded_error": 429, "timeout_error": 504, "engine_error": 503, "server_error": 500}.get(body.type, 422)
