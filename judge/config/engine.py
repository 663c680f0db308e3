"""Which model answers, where it runs, and how it wants to be asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, field_validator

from judge.config.base import Settings
from judge.config.server import OpenAIOptions
from judge.types import QuestionFormat

# fmt: off
_OUR_VARIABLES = frozenset({
    "conversation", "messages", "chat_template", "tokenize", "add_generation_prompt", "continue_final_message", "tools",
    "return_dict", "return_tensors", "processor_kwargs",
})
"""Of a chat template: arguments of the call that renders it."""
# fmt: on


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
