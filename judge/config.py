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
from judge.odds import NEVER
from judge.types import QuestionFormat, Reference

Preset = Literal["none", "threshold", "clue", "log_odds", "contextual", "contrastive", "batch", "mixture"]
"""Rules of `judge.debias`."""

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Margin = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Logit = Annotated[float, Field(allow_inf_nan=False)]


class Settings(BaseModel):
    """Base of every setting: frozen, and an unknown field is an error.

    Errors do not repeat what was written: it may be a key in the wrong place.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _digest(settings: Settings) -> str:
    canonical = json.dumps(settings.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


class Mixture(Settings):
    """Two bells over the observed logits of one precondition: where it does not hold, and where it does."""

    low_mean: Logit
    low_std: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    high_mean: Logit
    high_std: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    high_share: Annotated[float, Field(gt=0.0, lt=1.0)]
    """Share of the corpus in which the precondition holds."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low_mean >= self.high_mean:
            raise ValueError("low_mean must be below high_mean")
        return self


class CorpusStatistics(Settings):
    """What the observed readings of one precondition look like over an unlabelled corpus."""

    mean: Fraction | None = None
    """`batch`: mean probability."""
    mixture: Mixture | None = None
    """`mixture`."""


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
    """References are clipped to [clip, 1 - clip] before their logits are taken, except by `clue`."""
    accept_margin: Margin = round(math.log(4), 4)
    """Presets that shift logits: satisfied from this debiased logit on; the default is a probability of 0.8."""
    reject_margin: Margin = round(math.log(4), 4)
    """Presets that shift logits: rejected from minus this debiased logit down."""
    clue_reject: Fraction = 0.3
    """`clue`: rejected if observed - prior < -clue_reject * prior."""
    clue_accept: Fraction = 0.8
    """`clue`: satisfied if observed - prior > clue_accept * (1 - prior)."""
    clue_region: Fraction = 0.6
    """`clue`: satisfied if observed - occluded > clue_region."""
    contextual_references: Annotated[tuple[Reference, ...], Field(min_length=1)] = ("none",)
    """`contextual`: the mean of their logits is taken off."""
    contrastive_strength: Margin = 1.0
    """`contrastive`: a in (1 + a) z_x - a z_ref."""
    contrastive_reference: Literal["noised", "occluded"] = "noised"
    """`contrastive`: the picture under noise, or with its region removed (where there is a region test)."""
    corpus: Mapping[str, CorpusStatistics] = Field(default_factory=dict)
    """`batch`, `mixture`: statistics by precondition id."""
    region_accept: Margin = NEVER
    """Region test: satisfied if removing the region takes this much more off the logit than removing a random one does.
    Never, by default: an answer about two things falls without either, whether or not what is said of them holds."""
    region_reject: Margin = 0.5
    """Region test: an answer that falls by less than this without the region does not rest on it."""
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
        return _digest(self)


class RelevanceSettings(Settings):
    """The scan before the questions: rules that an image-text encoder finds far from the frame are not asked."""

    embedder: Literal["off", "clip", "siglip"] = "off"
    """Kind of encoder. Off by default: behind a shared prefix a question costs little."""
    model: str = "openai/clip-vit-base-patch16"
    """Folder or Hugging Face id of the encoder."""
    threshold: Annotated[float, Field(ge=-1.0, le=1.0)] = 0.22
    """A rule is asked if one of its preconditions is at least this similar. Source: CLUE, section 3.2, CLIP B/16."""
    always_ask: tuple[Literal["low", "medium", "high", "critical"], ...] = ("high", "critical")
    """Severities that the scan never drops."""


class RegionSettings(Settings):
    """The region test: does the answer change when the objects in question are removed?"""

    localizer: Literal["off", "occlusion", "owlv2"] = "off"
    """`occlusion` needs no other model: it covers grid cells and watches the answer. `owlv2` finds named objects."""
    model: str = "google/owlv2-base-patch16-ensemble"
    """Folder or Hugging Face id of the localizer's model."""
    min_score: Fraction = 0.05
    """Boxes found with less are ignored. Source: CLUE, section 3.4."""
    fill: Literal["mean", "blur", "black"] = "mean"
    """What a removed region is filled with."""
    grid: Annotated[int, Field(ge=2, le=16)] = 4
    """`occlusion`: cells per side; the best cell is refined once."""
    crop_below: Fraction = 0.01
    """A region smaller than this share of the frame is also asked about alone, enlarged. Source: CLUE, section 3.4."""
    test_satisfied: bool = False
    """Also test what was accepted: an answer that survives without its evidence becomes undecided."""
    seed: int = 0
    """Of the random control boxes."""


class ReasoningSettings(Settings):
    """Chain of thought, for what is undecided and can still change a rule."""

    enabled: bool = False
    """Whether to reason at all."""
    max_tokens: Annotated[int, Field(ge=1)] = 256
    """Longest reasoning about one question."""
    max_generations: Annotated[int, Field(ge=1)] = 16
    """Most texts per media."""
    token_budget: Annotated[int, Field(ge=1)] = 4096
    """Tokens written per media, after which no further question is reasoned about."""


class Cascade(Settings):
    """Which stages run beside the one-token questions. All of it changes verdicts, so all of it is in `digest`."""

    relevance: RelevanceSettings = RelevanceSettings()
    """Before the questions."""
    region: RegionSettings = RegionSettings()
    """After them, for what is undecided."""
    reasoning: ReasoningSettings = ReasoningSettings()
    """After that, for what is still undecided."""
    holistic_weight: Fraction = 0.0
    """Share, in logits, of one question about the whole rule in the rule's score; 0 = it is not asked."""
    thorough: bool = False
    """Slow stages also work on media that a violated rule has decided already, and on all of its frames."""

    @property
    def digest(self) -> str:
        """sha256 (hex) of all fields."""
        return _digest(self)


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
_OUR_VARIABLES = frozenset({
    "conversation", "messages", "chat_template", "tokenize", "add_generation_prompt", "continue_final_message", "tools",
    "return_dict", "return_tensors", "processor_kwargs",
})
"""Of a chat template: arguments of the call that renders it."""
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


class QuestionSettings(Settings):
    """How a guard model was trained to be asked."""

    template: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """A format of `judge.prompts`."""
    frames_last: bool = False
    """The pictures stand behind the words. Each question then reads the picture anew."""


class ModelTraits(Settings):
    """How one model wants to be loaded, asked and read. A profile fills this in; what is set here wins."""

    chat_template: Mapping[str, JsonValue] = Field(default_factory=dict)
    """Variables for the model's chat template, e.g. `{enable_thinking: false}`."""
    image: Mapping[str, JsonValue] = Field(default_factory=dict)
    """Settings of its image processor, i.e. how many tokens a picture may cost. A server is not told."""
    spellings: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    """Choice -> more words that mean it, as the model writes them: `{"Yes": ["Unsafe"], "No": ["Safe"]}`."""
    question: QuestionSettings | None = None
    """None = asked in our own words."""
    processor_class: Annotated[str, Field(pattern=r"^([A-Z][A-Za-z0-9]*Processor)?$")] = ""
    """Class of transformers to load its processor with; empty = as the model says."""
    wrapper_class: Annotated[str, Field(pattern=r"^([A-Z][A-Za-z0-9]*)?$")] = ""
    """Class of transformers to load the model with, if the language model is its attribute `model`."""

    @field_validator("chat_template")
    @classmethod
    def _leaves_our_variables(cls, value: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
        if taken := sorted(value.keys() & _OUR_VARIABLES):
            raise ValueError(f"{', '.join(taken)}: set by the engine itself")
        return value

    @field_validator("spellings")
    @classmethod
    def _one_meaning_each(cls, value: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
        words = [word for spelled in value.values() for word in spelled]
        if len(set(words)) != len(words) or not all(word == word.strip() != "" for word in words):
            raise ValueError("every word must be bare, not empty, and mean one choice only")
        return value

    def question_format(self) -> QuestionFormat | None:
        return QuestionFormat(self.question.template, self.question.frames_last) if self.question else None

    def added_to(self, digest: str) -> str:
        """The digest of a model that is used like this; without any traits the same digest."""
        if self == NO_TRAITS:
            return digest
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(f"{digest}\0{canonical}".encode()).hexdigest()

    def under(self, chosen: ModelTraits) -> ModelTraits:
        """These traits with what somebody chose laid over them, key by key."""
        fields: dict[str, object] = {}
        for name in chosen.model_fields_set:
            ours, theirs = getattr(self, name), getattr(chosen, name)
            fields[name] = {**ours, **theirs} if isinstance(ours, Mapping) and isinstance(theirs, Mapping) else theirs
        return self.model_copy(update=fields)


NO_TRAITS = ModelTraits()


class EngineConfig(Settings):
    """Which model answers, and where it runs."""

    name: str = "transformers"
    """Name of the engine in its registry."""
    model: str = "stickers-vlm"
    """A profile's name (`judge models`), a folder, or a Hugging Face id; for a server, its own name for the model."""
    profile: str = ""
    """The profile of a `model` that is a folder or goes by another name; empty = `model` may be a profile's name."""
    profiles_file: Path | None = None
    """YAML file of more profiles, in the form of `judge/profiles.yaml`."""
    traits: ModelTraits = NO_TRAITS
    """How the model wants to be loaded, asked and read, beyond its profile."""
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
    canary: Literal["off", "warn", "strict"] = "warn"
    """Scores that drifted from the model's record (`judge.canary`): not looked for, a warning and a notice in every
    verdict, or a refusal to start, then also where there is no record. Costs 12 questions where there is a record of
    this model; for a server there is none unless you make one."""
    canary_file: Path | None = None
    """Your own record, made by `judge canary record`; None = the one that ships for the model's name, if any."""
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
    cascade: Cascade = Cascade()
    """Stages beside the one-token questions."""
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
        raise ConfigError(f"config '{path}' is not valid YAML: {one_line(error)}") from error
    if content is None:
        return JudgeConfig()
    if not isinstance(content, dict):
        raise ConfigError(f"config '{path}' must be a mapping of settings, not a {type(content).__name__}")
    try:
        return JudgeConfig.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"config '{path}': {first_problem(error)}") from error


def first_problem(error: ValidationError) -> str:
    """The first wrong field, by its dotted name, and how many more there are."""
    problem = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in problem["loc"]) or "settings"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    message = "there is no such setting" if problem["type"] == "extra_forbidden" else problem["msg"]
    return f"{field}: {message}{more}"


def one_line(error: Exception) -> str:
    return " ".join(str(error).split())
