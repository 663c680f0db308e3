"""The engine `openai`: where its server is, how it is asked, what it costs."""

from __future__ import annotations

import json
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, field_validator

from judge.config.base import Settings

# fmt: off
_OURS = frozenset({
    "model", "messages", "n", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "min_p", "seed",
    "stop", "stream", "stream_options", "logprobs", "top_logprobs", "echo", "prompt_logprobs",
})
"""Fields of a request that the engine sets, or that would change what it reads."""
_MASKS = frozenset({
    "logit_bias", "allowed_token_ids", "bad_words", "response_format", "structured_outputs", "guided_choice",
    "guided_regex", "guided_json", "guided_grammar", "regex", "ebnf", "json_schema", "grammar", "tools", "tool_choice",
    "functions", "function_call",
})
"""Fields that allow some tokens only: with them the label mass would always look perfect."""
_OWN_HEADERS = frozenset({
    "authorization", "host", "content-type", "content-length", "content-encoding", "transfer-encoding",
    "accept-encoding", "connection",
})
# fmt: on


class OpenAIOptions(Settings):
    """Engine `openai`: where the server is, how it is asked, what it costs."""

    base_url: str = ""
    """Address up to and including the version, e.g. `http://127.0.0.1:8000/v1`. The only address that is ever asked:
    redirects are not followed, and proxies of the environment are not used. Required."""
    api_key_env: str = ""
    """NAME of the environment variable that holds the key; empty = no key is sent. Never the key itself."""
    headers: dict[str, str] = Field(default_factory=dict)
    """More request headers. Not for secrets: a configuration is shown and logged."""
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 16
    """Requests on their way at the same time."""
    timeout_s: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = 120.0
    """For one attempt, from connecting to the last byte."""
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 5
    """Attempts for one request, the first included. Refusals (400, 401, 403, 404...) are final at once."""
    max_wait_s: Annotated[float, Field(ge=0.0, le=3600.0)] = 60.0
    """Longest wait between two attempts, whatever the server's Retry-After says."""
    top_logprobs: Annotated[int, Field(ge=2, le=128)] = 20
    """Likeliest tokens to ask for; servers allow 20 as a rule."""
    samples: Annotated[int, Field(ge=0, le=1000)] = 0
    """0 = read token probabilities. n > 0, for servers without them: draw n answers at temperature 1 and count, with
    half a vote for every choice (so the most that 16 samples can say is 0.97). Costs n answers a question."""
    samples_per_request: Annotated[int, Field(ge=0, le=1000)] = 0
    """Samples to ask for in one request; 0 = all. 1 for servers that refuse the parameter `n`."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the server calls the limit of an answer's length."""
    seed: int | None = 0
    """Sent with everything that is sampled; None = not sent, for servers that refuse it."""
    max_frames: Annotated[int, Field(ge=1)] = 8
    """Most frames in one prompt that the server takes."""
    structured_output: bool = True
    """The server takes `response_format` with a JSON schema. Not tried at start-up: one that does not take it refuses
    the first text that needs it."""
    image_format: Literal["png", "jpeg"] = "png"
    """How frames are sent, always inside the request. `png` is lossless; `jpeg` is smaller and changes the answers."""
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = 95
    """Of `jpeg`; colour is never subsampled."""
    image_detail: Literal["auto", "low", "high"] | None = None
    """`detail` of every image; None = not sent."""
    extra_body: dict[str, JsonValue] = Field(default_factory=dict)
    """Further fields of every request, e.g. `{chat_template_kwargs: {enable_thinking: false}}`. Not for secrets."""
    price_per_million_prompt_tokens: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    """For counting cost, in any currency."""
    price_per_million_completion_tokens: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.0
    """The same for tokens written."""

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must begin with http:// or https:// and name a host")
        if parts.username is not None or parts.query or parts.fragment or not value.isprintable() or " " in value:
            raise ValueError("must be a plain address, without user, query or fragment")
        _ = parts.port  # raises ValueError
        return value.rstrip("/")

    @field_validator("api_key_env")
    @classmethod
    def _variable_name(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
            raise ValueError("must be the name of an environment variable, not the key")
        return value

    @field_validator("headers")
    @classmethod
    def _plain_headers(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or name.lower() in _OWN_HEADERS:
                raise ValueError(f"'{name}' cannot be set here")
            if not (text.isascii() and text.isprintable()):
                raise ValueError(f"the value of '{name}' must be printable ASCII")
        return value

    @field_validator("extra_body")
    @classmethod
    def _leaves_our_fields(cls, value: dict[str, JsonValue]) -> dict[str, JsonValue]:
        taken = sorted(value.keys() & _OURS)
        masks = sorted(value.keys() & _MASKS)
        if taken:
            raise ValueError(f"{', '.join(taken)}: set by the engine itself")
        if masks:
            raise ValueError(f"{', '.join(masks)}: would hide how much probability the model puts on the choices")
        json.dumps(value, allow_nan=False)  # raises ValueError: JSON has no NaN
        return value
