"""The chat-completions format of OpenAI and of the servers that copy it: prompts to request, answer to values.

Not here: sending (`chat_client`), and what an answer means (`choice_reading`).
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated

from PIL import Image
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from judge.config import OpenAIOptions
from judge.engines.base import JsonSchema
from judge.errors import EngineError
from judge.types import Frame, Prompt

_ROUNDING = 1e-3
"""How far above 0 a logprob may stray in half precision."""
_PNG_LEVEL = 3
"""zlib level: on photographs 9 saves a few percent of the size for several times the time."""

Urls = Mapping[str, str]
"""Key of a frame -> its picture as a `data:` URL."""


def _check_logprob(value: float) -> float:
    if math.isnan(value) or value > _ROUNDING:
        raise ValueError(f"{value} is not the logarithm of a probability")
    return min(value, 0.0)


Logprob = Annotated[float, AfterValidator(_check_logprob)]
"""Minus infinity is one: impossible."""
Count = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    """Of an answer: whatever else a server sends is ignored, but numbers must be numbers."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class TopLogprob(_Part):
    """One of the likeliest tokens at a position."""

    token: str
    """Its text."""
    logprob: Logprob
    """Natural log of its probability in the whole vocabulary."""


class TokenLogprobs(_Part):
    """One position of the answer."""

    top_logprobs: tuple[TopLogprob, ...] = ()
    """Likeliest tokens."""


class ChoiceLogprobs(_Part):
    """Of one answer."""

    content: tuple[TokenLogprobs, ...] | None = None
    """Position by position; None if the server gives none."""


class ChatMessage(_Part):
    """What was written."""

    content: str | None = None
    """None if nothing was, or only reasoning or a tool call."""


class ChatChoice(_Part):
    """One answer."""

    message: ChatMessage
    """The text."""
    finish_reason: str | None = None
    """`stop`, `length`, `content_filter`..."""
    logprobs: ChoiceLogprobs | None = None
    """None if the server gives none."""


class ChatUsage(_Part):
    """What it cost."""

    prompt_tokens: Count
    """Tokens read, image tokens included."""
    completion_tokens: Count = 0
    """Tokens written, over all answers of the request."""


class Completion(_Part):
    """The answer to one request."""

    choices: tuple[ChatChoice, ...] = Field(min_length=1)
    """As many as were asked for, or fewer."""
    usage: ChatUsage
    """What it cost."""
    model: str | None = None
    """The model that answered, often more exact than the name that was asked for."""
    system_fingerprint: str | None = None
    """Changes when the server's set-up does."""


def parse_completion(content: bytes, *, where: str) -> Completion:
    """Read an answer.

    Raises:
        EngineError: It is not what a chat-completions server answers; the message names what is wrong.
    """
    try:
        return Completion.model_validate_json(content)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = ".".join(str(part) for part in problem["loc"])
        what = f"{field}: {problem['msg']}" if field else problem["msg"]
        raise EngineError(
            f"{where} sent an answer that cannot be read: {what}",
            hint="is engine.openai.base_url a server for OpenAI's chat completions?",
        ) from error


def chat_request(
    prompt: Prompt,
    urls: Sequence[str],
    options: OpenAIOptions,
    fields: Mapping[str, JsonValue],
    template_options: Mapping[str, JsonValue] = MappingProxyType({}),
) -> bytes:
    """The body of a request.

    Args:
        prompt: What to ask.
        urls: Pictures of `prompt.frames`, in order.
        options: For `image_detail` and `extra_body`.
        fields: Everything else.
        template_options: Variables for the model's chat template, under those of `extra_body`; as vLLM and SGLang
            take them, and only sent if there are any.
    """
    body = {**options.extra_body, **fields, "messages": _messages(prompt, urls, options)}
    variables = {**template_options, **dict(prompt.layout.template_fields)}
    if variables:
        chosen = options.extra_body.get("chat_template_kwargs")
        body["chat_template_kwargs"] = {**variables, **(chosen if isinstance(chosen, dict) else {})}
    if prompt.layout.answer_prefix:
        body |= {"add_generation_prompt": False, "continue_final_message": True}
    return json.dumps(body, allow_nan=False).encode()


def response_format(schema: JsonSchema) -> JsonValue:
    """The field that holds a text to a JSON schema. Strict: without it, some servers take a schema for advice."""
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": dict(schema)}}


def data_url(frame: Frame, options: OpenAIOptions) -> str:
    """The picture itself as a URL: a server is never told to fetch anything.

    Raises:
        EngineError: The format cannot hold it: a JPEG has at most 65,500 pixels on a side.
    """
    file = io.BytesIO()
    image = Image.fromarray(frame.image)
    try:
        if options.image_format == "png":
            image.save(file, "PNG", compress_level=_PNG_LEVEL)
        else:
            image.save(file, "JPEG", quality=options.jpeg_quality, subsampling=0)
    except (OSError, ValueError) as error:
        raise EngineError(f"frame {frame.index} cannot be written as {options.image_format}: {error}") from error
    return f"data:image/{options.image_format};base64,{base64.b64encode(file.getvalue()).decode()}"


def _messages(prompt: Prompt, urls: Sequence[str], options: OpenAIOptions) -> list[JsonValue]:
    """Frames before or behind the text of the first user message; messages without frames are plain text."""
    first_user = next(i for i, message in enumerate(prompt.messages) if message.role == "user")
    messages: list[JsonValue] = []
    for i, message in enumerate(prompt.messages):
        content: JsonValue = message.text
        if i == first_user and urls:
            images = [part for n, url in enumerate(urls) for part in _image_parts(prompt, n, url, options)]
            text: list[JsonValue] = [{"type": "text", "text": message.text}] if message.text else []
            content = [*text, *images] if prompt.layout.frames_last else [*images, *text]
        messages.append({"role": message.role, "content": content})
    if prompt.layout.answer_prefix:
        messages.append({"role": "assistant", "content": prompt.layout.answer_prefix})
    return messages


def _image_parts(prompt: Prompt, number: int, url: str, options: OpenAIOptions) -> list[JsonValue]:
    """A frame behind its label, if it has one."""
    labels = prompt.layout.frame_labels
    label: list[JsonValue] = [{"type": "text", "text": labels[number]}] if labels else []
    return [*label, _image_part(url, options)]


def _image_part(url: str, options: OpenAIOptions) -> JsonValue:
    image: dict[str, JsonValue] = {"url": url}
    if options.image_detail is not None:
        image["detail"] = options.image_detail
    return {"type": "image_url", "image_url": image}
