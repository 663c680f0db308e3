"""An engine that answers from a table: for tests of everything around a model, and for dry runs.

It looks at the words of the question only, never at pixels, so it must not judge anything real.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from judge.engines.admission import check_schema
from judge.engines.base import YES_NO, Capabilities, JsonSchema, ModelInfo
from judge.errors import ConfigError, EngineError
from judge.types import ChoiceProbabilities, Generation, Probability, Prompt

if TYPE_CHECKING:
    from judge.config import EngineConfig

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """P(first choice) among the choices, and the label mass. Further choices share the rest equally."""

    probability: float
    mass: float = 1.0


Scripted = float | Answer | Exception | Callable[[Prompt], "float | Answer"]
"""A probability, a probability with its mass, an error to raise, or a function of the prompt."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call that the engine received."""

    method: Literal["choose", "generate"]
    prompts: tuple[Prompt, ...]


class ScriptTable(BaseModel):
    """A script as a JSON file, for `EngineConfig(name="scripted", model="script.json")`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    answers: dict[str, Probability] = Field(default_factory=dict)
    """Words of the question -> P(Yes)."""
    text_only: dict[str, Probability] | None = None
    """The same for questions without a frame; None = as `answers`."""
    default: Probability | None = None
    """P(Yes) of every other question; None = an error."""
    generations: dict[str, str] = Field(default_factory=dict)
    """Words of the last message -> text to write."""


class ScriptedEngine:
    """Answers by the first pattern (plain text, case as written) that occurs in the prompt's last message.

    Args:
        answers: Pattern -> answer.
        text_only: The same for prompts without frames; None = `answers` serves both.
        default: For prompts that no pattern fits; None = `EngineError`.
        generations: Pattern -> text, for `generate`.
        default_generation: As `default`.
        capabilities: What to claim; prompts beyond it are refused as a real engine would.
        info: What to claim; None = named "scripted", its digest taken from the tables.

    Attributes:
        calls: Everything that was asked, in order.
    """

    def __init__(
        self,
        answers: Mapping[str, Scripted] | None = None,
        *,
        text_only: Mapping[str, Scripted] | None = None,
        default: Scripted | None = None,
        generations: Mapping[str, str] | None = None,
        default_generation: str | None = None,
        capabilities: Capabilities | None = None,
        info: ModelInfo | None = None,
    ) -> None:
        self._answers = dict(answers or {})
        self._text_only = self._answers if text_only is None else dict(text_only)
        self._default = default
        self._generations = dict(generations or {})
        self._default_generation = default_generation
        self._capabilities = capabilities or Capabilities(max_frames=64, structured=True)
        self._info = info or ModelInfo("scripted", self._digest(), runtime="scripted")
        self.calls: list[Call] = []

    @classmethod
    def from_config(cls, config: EngineConfig) -> ScriptedEngine:
        """Read the tables from the JSON file `config.model`.

        Raises:
            ConfigError: There is no such file, or it is not a `ScriptTable`.
        """
        try:
            table = ScriptTable.model_validate_json(Path(config.model).read_bytes())
        except (OSError, ValidationError) as error:
            raise ConfigError(
                f"script '{config.model}' cannot be read: {error}",
                hint="the scripted engine wants a JSON file of answers as its model",
            ) from error
        return cls(
            dict(table.answers),
            text_only=None if table.text_only is None else dict(table.text_only),
            default=table.default,
            generations=table.generations,
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def info(self) -> ModelInfo:
        return self._info

    async def choose(self, prompts: Sequence[Prompt], choices: Sequence[str] = YES_NO) -> list[ChoiceProbabilities]:
        self.calls.append(Call("choose", tuple(prompts)))
        if not choices or len(set(choices)) != len(choices):
            raise EngineError(f"choices {list(choices)!r}: at least one is needed, and each only once")
        return [_spread(self._answer(prompt), choices, _count_words(prompt)) for prompt in prompts]

    async def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        json_schema: JsonSchema | None = None,
    ) -> list[Generation]:
        """A token is a word here; `temperature` changes nothing, and a text is as scripted whatever `json_schema` says.

        So tests can play a model that breaks its promise.
        """
        self.calls.append(Call("generate", tuple(prompts)))
        if max_tokens < 1:
            raise EngineError(f"max_tokens is {max_tokens}, at least 1 is needed")
        check_schema(self._info.name, self._capabilities, json_schema)
        return [self._generation(prompt, max_tokens) for prompt in prompts]

    async def close(self) -> None:
        return None

    def _answer(self, prompt: Prompt) -> Answer:
        self._check(prompt)
        table = self._answers if prompt.frames else self._text_only
        scripted = _look_up(table, prompt, self._default)
        if isinstance(scripted, Exception):
            raise scripted
        answer = scripted(prompt) if callable(scripted) else scripted
        return answer if isinstance(answer, Answer) else Answer(answer)

    def _generation(self, prompt: Prompt, max_tokens: int) -> Generation:
        self._check(prompt)
        words = _look_up(self._generations, prompt, self._default_generation).split(" ")
        return Generation(
            text=" ".join(words[:max_tokens]),
            finish_reason="stop" if len(words) <= max_tokens else "length",
            prompt_tokens=_count_words(prompt),
            completion_tokens=min(len(words), max_tokens),
        )

    def _check(self, prompt: Prompt) -> None:
        limit = self._capabilities.max_frames if self._capabilities.images else 0
        if len(prompt.frames) > limit:
            raise EngineError(f"engine 'scripted' takes {limit} frames in a prompt, not {len(prompt.frames)}")
        if not prompt.frames and not self._capabilities.text_only:
            raise EngineError("engine 'scripted' takes no prompt without a frame")
        if not prompt.messages:
            raise EngineError("a prompt without messages asks nothing")

    def _digest(self) -> str:
        tables = (self._answers, self._text_only, self._default, self._generations, self._default_generation)
        return hashlib.sha256(json.dumps(tables, default=_name).encode()).hexdigest()


def _look_up(table: Mapping[str, T], prompt: Prompt, default: T | None) -> T:
    question = prompt.messages[-1].text
    for pattern, value in table.items():
        if pattern in question:
            return value
    if default is None:
        raise EngineError(f"no scripted answer for {question!r}")
    return default


def _spread(answer: Answer, choices: Sequence[str], prompt_tokens: int) -> ChoiceProbabilities:
    if len(choices) == 1:
        return ChoiceProbabilities({choices[0]: 1.0}, answer.mass, prompt_tokens)
    rest = (1.0 - answer.probability) / (len(choices) - 1)
    others = dict.fromkeys(choices[1:], rest)
    return ChoiceProbabilities({choices[0]: answer.probability, **others}, answer.mass, prompt_tokens)


def _name(value: object) -> str:
    return str(getattr(value, "__qualname__", repr(value)))  # the repr of a function holds its address


def _count_words(prompt: Prompt) -> int:
    return sum(len(message.text.split()) for message in prompt.messages)
