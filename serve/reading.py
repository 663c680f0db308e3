"""The body of `POST /v1/judge`, JSON or multipart, as media and options. No picture is looked at here."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from judge.client.wire import JudgeOptions, JudgeRequest, MediaItem
from judge.errors import quoted
from judge.media.reference import InlineMedia, UrlMedia
from serve.problems import ApiError
from serve.settings import HttpSettings
from serve.urls import check_url
from serve.wording import invalid_request

_Options = TypeVar("_Options", bound=BaseModel)
_LONGEST_NAME = 200
_LONGEST_TEXT = 10_000
"""Both as `MediaItem` has them."""


@dataclass(frozen=True, slots=True)
class Given:
    """One piece of media of a request, and what was posted with it."""

    media: InlineMedia | UrlMedia
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, read."""

    options: JudgeOptions
    media: tuple[Given, ...]


async def read_request(request: Request, http: HttpSettings) -> Asked:
    """Read the body of a request.

    Raises:
        ApiError: 400, 413, 415 or 422: it is not what it says, too large, of another type, or something in it is wrong.
    """
    if content_kind(request) == "form":
        return await _read_form(request, http)
    return _read_json(parse(JudgeRequest, await whole_body(request)), http)


def content_kind(request: Request) -> Literal["form", "json"]:
    """Raises `ApiError` 415 if it is another one."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return "form"
    if kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json")):
        return "json"
    raise ApiError(
        415, "unsupported_content_type", f"the body's type is {quoted(kind) if kind else 'not given'}",
        hint="send application/json or multipart/form-data",
    )  # fmt: skip


def parse(model: type[_Options], text: str | bytes, where: tuple[str, ...] = ()) -> _Options:
    """JSON as options or a whole request; `where` is the field that holds it. Raises `ApiError` 400 or 422."""
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise invalid_request(error.errors(include_url=False)[0], where) from error


def given(item: MediaItem, place: str, http: HttpSettings) -> Given:
    """One piece of media of a JSON body. Raises `ApiError` 413 or 422."""
    name = item.name or place
    if item.url is not None:
        check_url(item.url, http)
        return Given(UrlMedia(url=item.url), name, item.text)
    data = decode(item.data or "", max_bytes=http.max_media_bytes)
    return Given(InlineMedia(data=data, name=name), name, item.text)


def _read_json(body: JudgeRequest, http: HttpSettings) -> Asked:
    _check_number(len(body.media), http)
    # Without the media: their base64 would be held, beside their bytes, as long as the request is judged.
    options = JudgeOptions.model_construct(**{name: getattr(body, name) for name in JudgeOptions.model_fields})
    return Asked(options, tuple(given(item, str(place), http) for place, item in enumerate(body.media)))


async def whole_body(request: Request) -> bytes:
    """As `Request.body`, which would keep it as long as the request lasts."""
    return b"".join([chunk async for chunk in request.stream()])


def decode(text: str, *, max_bytes: int | None = None) -> bytes:
    """Base64, with or without line ends, or a `data:` URL in base64.

    Raises:
        ApiError: 413 if it holds more than `max_bytes`, 422 if it is something else.
    """
    if text[:5].lower() == "data:":
        head, comma, text = text.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise ApiError(422, "invalid_base64", "the media's data URL is not in base64", param="media")
    # Lines of base64 are common (the command `base64` writes them); other characters are refused.
    text = "".join(text.split())
    if max_bytes is not None:
        _check_size(len(text) * 3 // 4 - text[-2:].count("="), max_bytes)
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ApiError(422, "invalid_base64", "the media's data is not base64", param="media") from error


# --- multipart ----------------------------------------------------------------------------------------------


async def _read_form(request: Request, http: HttpSettings) -> Asked:
    form = await parse_form(request, http)
    try:
        unknown = sorted(set(form) - {"media", "options", "text"})
        if unknown:
            raise invalid(f"unknown part {quoted(unknown[0])}", unknown[0][:50], "parts are media, options and text")
        options = read_options(JudgeOptions, form.getlist("options"))
        files = form.getlist("media")
        if not files:
            raise invalid("there is no part 'media'", "media", "send each picture or video as a file named media")
        _check_number(len(files), http)
        texts = _texts(form.getlist("text"), len(files))
        media = [await read_file(file, str(place), texts[place], http) for place, file in enumerate(files)]
        return Asked(options, tuple(media))
    finally:
        await form.close()


async def parse_form(request: Request, http: HttpSettings) -> FormData:
    """The caller's to close. Raises `ApiError` 400."""
    _, parameters = parse_options_header(request.headers.get("content-type"))
    if parameters.get(b"charset", b"utf-8").lower() not in (b"utf-8", b"utf8"):  # others can spell half characters
        raise ApiError(400, "invalid_body", "the multipart body is not in UTF-8", hint="leave the charset out")
    parser = MultiPartParser(
        request.headers, request.stream(), max_files=http.max_media, max_fields=http.max_media + 1,
        max_part_size=min(2 * 2**20, http.max_body_bytes),
    )  # fmt: skip
    # Media are never written to a disk; the body's limit is the memory's.
    parser.spool_max_size = http.max_body_bytes
    try:
        return await parser.parse()
    except MultiPartException as error:
        hint = f"at most {http.max_media} files, a boundary, and names for all parts"
        raise ApiError(400, "invalid_body", "the multipart body cannot be read", hint=hint) from error


async def read_file(file: str | UploadFile, place: str, text: str, http: HttpSettings) -> Given:
    """A file of a form. Raises `ApiError` 413 or 422."""
    if isinstance(file, str):
        raise invalid("a part 'media' is not a file", "media", "give the part a file name")
    _check_size(file.size or 0, http.max_media_bytes)
    name = (file.filename or "")[:_LONGEST_NAME] or place
    return Given(InlineMedia(data=await file.read(), name=name), name, text)


def read_options(model: type[_Options], parts: Sequence[str | UploadFile]) -> _Options:
    """The part `options` of a form; none = all as by default. Raises `ApiError` 400 or 422."""
    if not parts:
        return model()
    if len(parts) > 1 or not isinstance(parts[0], str):
        raise invalid(
            "there must be one part 'options', which is no file", "options", "all options are one JSON object"
        )
    return parse(model, parts[0], ("options",))


def _texts(parts: Sequence[str | UploadFile], n_media: int) -> list[str]:
    """One for each media; one alone goes with all of them."""
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) != len(parts) or len(texts) not in (0, 1, n_media):
        raise invalid("there must be one part 'text', or one for each media", "text")
    if any(len(text) > _LONGEST_TEXT for text in texts):
        raise invalid(f"a text is longer than {_LONGEST_TEXT:,} characters", "text")
    return texts if len(texts) == n_media else (texts or [""]) * n_media


# --- checks -------------------------------------------------------------------------------------------------


def _check_number(n_media: int, http: HttpSettings) -> None:
    if n_media > http.max_media:
        raise invalid(
            f"{n_media} media are more than the {http.max_media} of one request", "media", "send several requests"
        )


def _check_size(n_bytes: int, most: int) -> None:
    if n_bytes > most:
        raise ApiError(413, "media_too_large", f"one of the media is larger than {most:,} bytes", param="media")


def invalid(message: str, param: str, hint: str = "") -> ApiError:
    return ApiError(422, "invalid_request", message, param=param, hint=hint)
