"""What can be set: one YAML file becomes one frozen model, which is passed down.

Nothing here reads the environment, and nothing below the entry points reads files.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator

from judge.errors import ConfigError

Preset = Literal["none", "threshold", "clue", "log_odds"]
"""Rules of `judge.debias`."""

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Margin = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class Settings(BaseModel):
    """Base of every setting: frozen, and an unknown field is an error.

    Errors do not repeat what was written: it may be a key in the wrong place.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Thresholds(Settings):
    """When a probability counts as an answer. Everything here changes verdicts, so all of it is in `digest`."""

    preset: Preset = "log_odds"
    """Which debias rule reads the probabilities."""
    accept: Fraction = 0.8
    """`none`, `threshold`: satisfied from this probability on."""
    reject: Fraction = 0.2
    """`none`, `threshold`: rejected up to this probability."""
    bias: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    """`threshold`: logits taken off the observed reading."""
    prior_weight: Margin = 0.5
    """`log_odds`: share of the prior's logit taken off the observed one."""
    prior_clip: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.02
    """`log_odds`: the prior is clipped to [clip, 1 - clip] first."""
    accept_margin: Margin = round(math.log(4), 4)
    """`log_odds`: satisfied from this debiased logit on; the default is a probability of 0.8."""
    reject_margin: Margin = round(math.log(4), 4)
    """`log_odds`: rejected from minus this debiased logit down."""
    clue_reject: Fraction = 0.3
    """`clue`: rejected if observed - prior < -clue_reject * prior."""
    clue_accept: Fraction = 0.8
    """`clue`: satisfied if observed - prior > clue_accept * (1 - prior)."""
    min_mass: Fraction = 0.5
    """Less label mass than this is no answer: undecided."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.reject > self.accept:
            raise ValueError(f"reject ({self.reject}) must not be above accept ({self.accept})")
        return self

    @property
    def digest(self) -> str:
        """sha256 (hex) of all fields."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


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


class VllmOptions(Settings):
    """What only the engine `vllm` reads."""

    options: Mapping[str, JsonValue] = Field(default_factory=dict)
    """Arguments of vLLM's `AsyncEngineArgs` by name, over our defaults: `{gpu_memory_utilization: 0.8}`."""


class EngineConfig(Settings):
    """Which model answers, and where it runs."""

    name: str = "transformers"
    """Name of the engine in its registry."""
    model: str = "stickers-vlm"
    """An embedded model's name, a folder, or a Hugging Face id; for a server, its own name for the model."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:0`..."""
    dtype: str = "auto"
    """`auto`, `float32`, `bfloat16`, `float16`."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Most rows in one forward pass; vLLM's `max_num_seqs`, worth raising on a GPU."""
    memory_mb: Annotated[int, Field(ge=16)] | None = None
    """Memory for one forward pass beside the weights; None = 1024 on the CPU, 40 % of what is free on a GPU."""
    revision: str | None = None
    """Revision of a Hugging Face id; None = its default branch. For a server it only goes into the model's digest."""
    trust_remote_code: bool = False
    """Run Python code that comes with the model. Only for models whose code you have read."""
    openai: OpenAIOptions = OpenAIOptions()
    """For the engine `openai` only."""
    vllm: VllmOptions = VllmOptions()
    """More settings of the engine `vllm`."""


class JudgeConfig(Settings):
    """Everything the pipeline needs beside the constitution."""

    engine: EngineConfig = EngineConfig()
    """The model."""
    thresholds: Thresholds = Thresholds()
    """When a probability counts as an answer."""
    max_frames: Annotated[int, Field(ge=1)] = 8
    """Frames judged of one animation or video; more are sampled down uniformly, and the verdict says so."""
    concurrency: Annotated[int, Field(ge=1)] = 16
    """Media that are asked about in one engine call."""
    cache: bool = True
    """Keep the text-only readings on disk between runs."""
    cache_dir: Path | None = None
    """Where to keep them; None = the user's cache folder."""


def load_config(path: Path) -> JudgeConfig:
    """Read a YAML file; fields that it leaves out keep their defaults, and an empty file is all defaults.

    Raises:
        ConfigError: The file cannot be read, is not YAML, or has a wrong field, which is named.
    """
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config '{path}' cannot be read: {error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"config '{path}' is not valid YAML: {_one_line(error)}") from error
    if content is None:
        return JudgeConfig()
    if not isinstance(content, dict):
        raise ConfigError(f"config '{path}' must be a mapping of settings, not a {type(content).__name__}")
    try:
        return JudgeConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"config '{path}': {_first_problem(error)}") from error


def _first_problem(error: ValidationError) -> str:
    """The first wrong field, by its dotted name, and how many more there are."""
    problem = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in problem["loc"]) or "settings"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    message = "there is no such setting" if problem["type"] == "extra_forbidden" else problem["msg"]
    return f"{field}: {message}{more}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
