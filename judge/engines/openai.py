"""The engine for any server that speaks OpenAI's chat completions with images and logprobs: vLLM, SGLang, hosted APIs.

How requests travel: `chat_client`; how they look: `chat_format`; what the answers mean: `choice_reading`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import math
import os
import threading
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from pydantic import JsonValue

from judge.assets import model_path
from judge.config import NO_TRAITS, ModelTraits, OpenAIOptions
from judge.engines.admission import SchemaRefused, check_max_tokens, check_prompts, check_schema
from judge.engines.base import YES_NO, Capabilities, JsonSchema, ModelInfo
from judge.engines.chat_client import ChatClient, ChatSession, Patience, RequestRefused
from judge.engines.chat_format import (
    ChatChoice,
    Completion,
    chat_request,
    data_url,
    parse_completion,
    response_format,
)
from judge.engines.choice_reading import ChoiceReader, read_logprobs, read_samples, unreadable
from judge.engines.identity import frame_key, prompt_words
from judge.engines.model_folder import read_card
from judge.errors import AnswerError, ConfigError, EngineError, quoted
from judge.types import ChoiceProbabilities, Domain, Generation, Message, Prompt

if TYPE_CHECKING:
    from judge.config import EngineConfig

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_PROBE = Prompt((Message("user", "Is fire hot? Answer with one word, Yes or No."),))
_NO_LOGPROBS = (
    "take a server that gives logprobs and top_logprobs, or set engine.openai.samples, for instance to 16, to count "
    "drawn answers instead"
)
_SAMPLE_TOKENS = 8
"""Enough to tell "No" from "Nothing"; the rest of an answer is not read."""
_SCHEMA_STATUSES = frozenset({400, 422})
_NUMBERS = {
    "top_logprobs",
    "samples",
    "seed",
    "max_tokens_field",
    "image_format",
    "jpeg_quality",
    "image_detail",
    "extra_body",
}
"""Options that change answers, and so the digest."""


@dataclass(frozen=True, slots=True)
class Spend:
    """What the server has counted since the engine was built, in answers that could be read.

    Attributes:
        requests: Answered requests, the probe at start-up included.
        prompt_tokens: Tokens read.
        completion_tokens: Tokens written.
        cost: By the configured prices.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0


class OpenAIEngine:
    """See `judge.engines.base.Engine` for the contract.

    With `options.samples` the answers of `choose` are drawn and counted: `info.runtime` then says `sampled`.

    Args:
        model: As the server calls it.
        options: Where the server is and how to ask it.
        api_key: Empty = none is sent.
        revision: Which version of the model the server runs, as far as the caller knows.
        domain: What the model was made for.
        patience: How to wait between attempts.
        traits: How the model wants to be asked and read; the server looks after its pictures.

    Raises:
        ConfigError: No address, or a server that refuses the first question or gives no logprobs.
        EngineError: The server cannot be reached or fails.
    """

    def __init__(
        self,
        model: str,
        options: OpenAIOptions,
        *,
        api_key: str = "",
        revision: str | None = None,
        domain: Domain | None = None,
        patience: Patience | None = None,
        traits: ModelTraits = NO_TRAITS,
    ) -> None:
        if not options.base_url:
            raise ConfigError(
                "engine 'openai' needs the address of its server",
                hint="set engine.openai.base_url in the configuration, for instance to http://127.0.0.1:8000/v1",
            )
        self._model = model
        self._options = options
        self._traits = traits
        self._client = ChatClient(options, api_key=api_key, patience=patience or Patience())
        self._closed = False
        self._lock = threading.Lock()
        self._spend = Spend()
        self._capabilities = Capabilities(max_frames=options.max_frames, structured=options.structured_output)
        first = _run_in_thread(self._probe())
        self._served = (first.model, first.system_fingerprint)
        self._changed = False
        how = f"sampled-{options.samples}" if options.samples else f"logprobs-{options.top_logprobs}"
        digest = self._traits.added_to(_digest(model, revision, options, first))
        self._info = ModelInfo(model, digest, domain, f"openai/{how}", self._traits.question_format())

    @classmethod
    def from_config(cls, config: EngineConfig) -> OpenAIEngine:
        """Take the key from the environment, and ask the server a first question.

        Raises:
            ConfigError: The environment has no such variable; and as the class says.
            EngineError: As the class says.
        """
        embedded = model_path(config.model)
        return cls(
            config.model,
            config.openai,
            api_key=_read_key(config.openai.api_key_env),
            revision=config.revision,
            domain=read_card(embedded).to_domain() if embedded else None,
            traits=config.traits,
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def info(self) -> ModelInfo:
        return self._info

    @property
    def spend(self) -> Spend:
        return self._spend

    async def choose(self, prompts: Sequence[Prompt], choices: Sequence[str] = YES_NO) -> list[ChoiceProbabilities]:
        """Equal prompts are asked once. Where no choice is among the likeliest tokens, the answer has a mass of 0.0."""
        prompts = tuple(prompts)
        self._check(prompts)
        reader = ChoiceReader(choices, self._traits.spellings)
        urls = await asyncio.to_thread(self._encode, prompts)
        unique = {_prompt_key(prompt, urls): prompt for prompt in prompts}
        ask = self._draw if self._options.samples else self._read
        async with self._client.session() as session:
            answers = await _together([ask(session, prompt, urls.of(prompt), reader) for prompt in unique.values()])
        found = dict(zip(unique, answers, strict=True))
        return [found[_prompt_key(prompt, urls)] for prompt in prompts]

    async def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        json_schema: JsonSchema | None = None,
    ) -> list[Generation]:
        """Copies of a prompt are different samples: each gets a seed of its own, where the server takes seeds.

        With a `json_schema` it is the server that keeps to it: whether a text is JSON is checked here, no more.

        Raises:
            AnswerError: The server withheld a text, or gave none, or no JSON.
            EngineError: The server could not answer, or does not take the schema.
        """
        prompts = tuple(prompts)
        self._check(prompts)
        check_max_tokens(max_tokens)
        check_schema(self._model, self._capabilities, json_schema)
        if not 0.0 <= temperature < math.inf:
            raise EngineError(f"temperature is {temperature}, a number from 0 on is needed")
        urls = await asyncio.to_thread(self._encode, prompts)
        seen: Counter[tuple[object, ...]] = Counter()
        jobs = []
        async with self._client.session() as session:
            for prompt in prompts:
                key = _prompt_key(prompt, urls)
                fields = self._sampling(temperature, copy=seen[key]) | {self._options.max_tokens_field: max_tokens}
                write = self._write if json_schema is None else partial(self._write_json, schema=json_schema)
                jobs.append(write(session, prompt, urls.of(prompt), fields))
                seen[key] += 1
            return await _together(jobs)

    async def close(self) -> None:
        """Calls that are running are answered, and their connections end with them; later ones raise `EngineError`."""
        self._closed = True

    async def _read(
        self, session: ChatSession, prompt: Prompt, urls: Sequence[str], reader: ChoiceReader
    ) -> ChoiceProbabilities:
        completion = await self._ask(session, prompt, urls, self._one_token())
        if completion.choices[0].finish_reason == "content_filter":
            return unreadable(reader, prompt_tokens=completion.usage.prompt_tokens)
        return self._interpret(completion, reader)

    def _interpret(self, completion: Completion, reader: ChoiceReader) -> ChoiceProbabilities:
        logprobs = completion.choices[0].logprobs
        if logprobs is None or not logprobs.content or not logprobs.content[0].top_logprobs:
            raise EngineError(f"{self._where} gave no logprobs of the likeliest tokens", hint=_NO_LOGPROBS)
        try:
            return read_logprobs(reader, logprobs.content[0].top_logprobs, prompt_tokens=completion.usage.prompt_tokens)
        except EngineError as error:
            raise EngineError(f"{self._where}: {error.message}", hint=error.hint) from error

    async def _draw(
        self, session: ChatSession, prompt: Prompt, urls: Sequence[str], reader: ChoiceReader
    ) -> ChoiceProbabilities:
        """Servers may give fewer answers than `n` asks for: then the rest is asked for again."""
        wanted = self._options.samples
        texts: list[str] = []
        prompt_tokens = 0
        while len(texts) < wanted:
            n = min(wanted - len(texts), self._options.samples_per_request or wanted)
            completion = await self._ask(session, prompt, urls, self._samples(n, first=len(texts)))
            if len(completion.choices) > n:
                raise EngineError(f"{self._where} gave {len(completion.choices)} answers where {n} were asked for")
            texts += [_drawn_text(choice) for choice in completion.choices]
            prompt_tokens += completion.usage.prompt_tokens
        return read_samples(reader, texts, prompt_tokens=prompt_tokens)

    async def _write(
        self, session: ChatSession, prompt: Prompt, urls: Sequence[str], fields: Mapping[str, JsonValue]
    ) -> Generation:
        completion = await self._ask(session, prompt, urls, fields)
        choice = completion.choices[0]
        reason, text = choice.finish_reason, choice.message.content
        if reason not in ("stop", "length"):
            raise AnswerError(f"{self._where} ended its text with finish_reason {reason!r}: it is withheld or no text")
        if text is None:
            raise AnswerError(
                f"{self._where} wrote no text (finish_reason {reason!r})",
                hint="a model that thinks first may need more tokens, or thinking switched off in extra_body",
            )
        usage = completion.usage
        return Generation(
            text=text.strip(),
            finish_reason="stop" if reason == "stop" else "length",
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
        )

    async def _write_json(
        self,
        session: ChatSession,
        prompt: Prompt,
        urls: Sequence[str],
        fields: Mapping[str, JsonValue],
        *,
        schema: JsonSchema,
    ) -> Generation:
        """Some servers refuse a schema; some have never heard of it and write what they like."""
        try:
            found = await self._write(session, prompt, urls, {**fields, "response_format": response_format(schema)})
        except RequestRefused as error:
            if error.status not in _SCHEMA_STATUSES:
                raise
            raise SchemaRefused(
                f"{self._where} has no structured output, or none for this JSON schema: {error.message}",
                hint="set engine.openai.structured_output to false if it has none",
            ) from error
        if found.finish_reason == "stop" and not _is_json(found.text):
            raise AnswerError(
                f"{self._where} was asked for JSON under a schema and wrote something else: {quoted(found.text)}",
                hint="does it have structured output? set engine.openai.structured_output to false if not",
            )
        return found

    async def _ask(
        self, session: ChatSession, prompt: Prompt, urls: Sequence[str], fields: Mapping[str, JsonValue]
    ) -> Completion:
        fields = {"model": self._model, **fields}
        make_body = partial(chat_request, prompt, urls, self._options, fields, self._traits.chat_template)
        content = await session.post(make_body)
        completion = parse_completion(content, where=self._where)
        self._count(completion)
        self._notice_change(completion)
        return completion

    async def _probe(self) -> Completion:
        """The first question, before anything depends on the answer.

        Raises:
            ConfigError: The server refuses it, or what it answers is of no use.
            EngineError: The server fails.
        """
        reader = ChoiceReader(YES_NO, self._traits.spellings)
        fields = self._samples(1, first=0) if self._options.samples else self._one_token()
        try:
            async with self._client.session() as session:
                fields |= {"model": self._model}
                content = await session.post(
                    partial(chat_request, _PROBE, (), self._options, fields, self._traits.chat_template)
                )
        except RequestRefused as error:
            hint = error.hint if self._options.samples else f"{error.hint}; if it has no logprobs: {_NO_LOGPROBS}"
            raise ConfigError(error.message, hint=hint) from error
        try:
            completion = parse_completion(content, where=self._where)
            if self._options.samples:
                readable = reader.written(_drawn_text(completion.choices[0])) is not None
            else:
                readable = self._interpret(completion, reader).mass > 0.0
        except EngineError as error:
            raise ConfigError(error.message, hint=error.hint) from error
        if not readable:
            _LOG.warning(
                "%s does not begin its answer to a simple question with Yes or No: most answers will be undecided. "
                "A model that thinks first must be told not to, e.g. in engine.openai.extra_body",
                self._where,
            )
        self._count(completion)
        return completion

    def _one_token(self) -> dict[str, JsonValue]:
        return {
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": self._options.top_logprobs,
            self._options.max_tokens_field: 1,
        }

    def _samples(self, n: int, *, first: int) -> dict[str, JsonValue]:
        fields = self._sampling(1.0, copy=first) | {self._options.max_tokens_field: _SAMPLE_TOKENS}
        return fields if n == 1 else fields | {"n": n}

    def _sampling(self, temperature: float, *, copy: int) -> dict[str, JsonValue]:
        fields: dict[str, JsonValue] = {"temperature": temperature}
        if temperature > 0.0 and self._options.seed is not None:
            fields["seed"] = self._options.seed + copy
        return fields

    @property
    def _where(self) -> str:
        return f"model '{self._model}' at '{self._options.base_url}'"

    def _count(self, completion: Completion) -> None:
        options, usage = self._options, completion.usage
        cost = (
            usage.prompt_tokens * options.price_per_million_prompt_tokens
            + usage.completion_tokens * options.price_per_million_completion_tokens
        ) / 1e6
        with self._lock:
            spend = self._spend
            self._spend = Spend(
                spend.requests + 1,
                spend.prompt_tokens + usage.prompt_tokens,
                spend.completion_tokens + usage.completion_tokens,
                spend.cost + cost,
            )

    def _notice_change(self, completion: Completion) -> None:
        """Verdicts name the model that answered at start-up; say so when that stops being true, but once."""
        served = (completion.model, completion.system_fingerprint)
        if served != self._served and not self._changed:
            self._changed = True
            _LOG.warning(
                "%s has changed since start-up, and the digest of the model has not: %s became %s",
                self._where, self._served, served,
            )  # fmt: skip

    def _encode(self, prompts: Sequence[Prompt]) -> _Pictures:
        """Each picture once, however many prompts are about it and whatever arrays it lies in."""
        keys: dict[int, str] = {}
        digests: dict[int, str] = {}
        urls: dict[str, str] = {}
        for frame in (frame for prompt in prompts for frame in prompt.frames):
            if id(frame) in keys:
                continue
            key = keys[id(frame)] = frame_key(frame, digests)
            if key not in urls:
                urls[key] = data_url(frame, self._options)
        return _Pictures(keys, urls)

    def _check(self, prompts: Sequence[Prompt]) -> None:
        if self._closed:
            raise EngineError(f"model '{self._model}' is closed")
        check_prompts(self._model, self._capabilities, prompts)


@dataclass(frozen=True, slots=True)
class _Pictures:
    """Of one batch: frame object -> key of its pixels -> its `data:` URL."""

    keys: Mapping[int, str]
    urls: Mapping[str, str]

    def of(self, prompt: Prompt) -> tuple[str, ...]:
        return tuple(self.urls[self.keys[id(frame)]] for frame in prompt.frames)


def _prompt_key(prompt: Prompt, pictures: _Pictures) -> tuple[object, ...]:
    return (prompt_words(prompt), *(pictures.keys[id(frame)] for frame in prompt.frames))


def _drawn_text(choice: ChatChoice) -> str:
    """Empty for an answer that was withheld: it is no vote."""
    return "" if choice.finish_reason == "content_filter" else choice.message.content or ""


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _digest(model: str, revision: str | None, options: OpenAIOptions, first: Completion) -> str:
    """sha256 (hex) over what is known of the model. Not the address: where a model runs is not what it is."""
    known = {
        "model": model,
        "revision": revision,
        "served_model": first.model,
        "system_fingerprint": first.system_fingerprint,
        "options": options.model_dump(mode="json", include=_NUMBERS),
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def _read_key(variable: str) -> str:
    if not variable:
        return ""
    key = os.environ.get(variable, "").strip()
    if not key:
        raise ConfigError(
            f"the environment variable '{variable}' is not set; it should hold the key of engine 'openai'",
            hint="set it, or leave engine.openai.api_key_env empty for a server without keys",
        )
    return key


async def _together(jobs: Sequence[Coroutine[object, object, T]]) -> list[T]:
    """Results in order. The first error ends all others: their answers would be thrown away, but paid."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _run_in_thread(job: Coroutine[object, object, T]) -> T:
    """Wait for a coroutine, whether or not an event loop is running here."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, job).result()
