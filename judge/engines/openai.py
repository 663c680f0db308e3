"""The engine for any server that speaks OpenAI's chat completions with images and logprobs: vLLM, SGLang, hosted APIs.

How requests travel: `chat_client`; how they look: `chat_format`, `request_fields`, `batch_pictures`; what the answers
mean: `choice_reading`, `completion_reading`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from pydantic import JsonValue

from judge.assets import model_path
from judge.config import NO_TRAITS, ModelTraits, OpenAIOptions
from judge.engines.admission import SchemaRefused, check_max_tokens, check_prompts, check_schema
from judge.engines.base import YES_NO, Capabilities, JsonSchema, ModelInfo
from judge.engines.batch_pictures import encode_pictures
from judge.engines.chat_client import ChatClient, ChatSession, Patience, RequestRefused
from judge.engines.chat_format import Completion, chat_request, parse_completion, response_format
from judge.engines.choice_reading import ChoiceReader, read_samples, unreadable
from judge.engines.completion_reading import NO_LOGPROBS, check_json, drawn_text, generation, probabilities
from judge.engines.model_folder import read_card
from judge.engines.request_fields import RequestFields
from judge.engines.server_identity import read_key, served_digest
from judge.engines.spending import Meter, Spend
from judge.engines.tasks import run_in_thread, together
from judge.errors import ConfigError, EngineError
from judge.types import ChoiceProbabilities, Domain, Generation, Message, Prompt

if TYPE_CHECKING:
    from judge.config import EngineConfig

_LOG = logging.getLogger(__name__)
_PROBE = Prompt((Message("user", "Is fire hot? Answer with one word, Yes or No."),))
_SCHEMA_STATUSES = frozenset({400, 422})


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
        self._meter = Meter(options)
        self._fields = RequestFields(options)
        self._capabilities = Capabilities(max_frames=options.max_frames, structured=options.structured_output)
        first = run_in_thread(self._probe())
        self._served = (first.model, first.system_fingerprint)
        self._changed = False
        how = f"sampled-{options.samples}" if options.samples else f"logprobs-{options.top_logprobs}"
        digest = self._traits.added_to(served_digest(model, revision, options, first))
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
            api_key=read_key(config.openai.api_key_env),
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
        return self._meter.spend

    async def choose(self, prompts: Sequence[Prompt], choices: Sequence[str] = YES_NO) -> list[ChoiceProbabilities]:
        """Equal prompts are asked once. Where no choice is among the likeliest tokens, the answer has a mass of 0.0."""
        prompts = tuple(prompts)
        self._check(prompts)
        reader = ChoiceReader(choices, self._traits.spellings)
        pictures = await asyncio.to_thread(encode_pictures, prompts, self._options)
        unique = {pictures.prompt_key(prompt): prompt for prompt in prompts}
        ask = self._draw if self._options.samples else self._read
        async with self._client.session() as session:
            answers = await together([ask(session, prompt, pictures.of(prompt), reader) for prompt in unique.values()])
        found = dict(zip(unique, answers, strict=True))
        return [found[pictures.prompt_key(prompt)] for prompt in prompts]

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
        pictures = await asyncio.to_thread(encode_pictures, prompts, self._options)
        seen: Counter[tuple[object, ...]] = Counter()
        jobs = []
        async with self._client.session() as session:
            for prompt in prompts:
                key = pictures.prompt_key(prompt)
                fields = self._fields.text(temperature, copy=seen[key], max_tokens=max_tokens)
                write = self._write if json_schema is None else partial(self._write_json, schema=json_schema)
                jobs.append(write(session, prompt, pictures.of(prompt), fields))
                seen[key] += 1
            return await together(jobs)

    async def close(self) -> None:
        """Calls that are running are answered, and their connections end with them; later ones raise `EngineError`."""
        self._closed = True

    async def _read(
        self, session: ChatSession, prompt: Prompt, urls: Sequence[str], reader: ChoiceReader
    ) -> ChoiceProbabilities:
        completion = await self._ask(session, prompt, urls, self._fields.one_token())
        if completion.choices[0].finish_reason == "content_filter":
            return unreadable(reader, prompt_tokens=completion.usage.prompt_tokens)
        return probabilities(completion, reader, where=self._where)

    async def _draw(
        self, session: ChatSession, prompt: Prompt, urls: Sequence[str], reader: ChoiceReader
    ) -> ChoiceProbabilities:
        """Servers may give fewer answers than `n` asks for: then the rest is asked for again."""
        wanted = self._options.samples
        texts: list[str] = []
        prompt_tokens = 0
        while len(texts) < wanted:
            n = min(wanted - len(texts), self._options.samples_per_request or wanted)
            completion = await self._ask(session, prompt, urls, self._fields.samples(n, first=len(texts)))
            if len(completion.choices) > n:
                raise EngineError(f"{self._where} gave {len(completion.choices)} answers where {n} were asked for")
            texts += [drawn_text(choice) for choice in completion.choices]
            prompt_tokens += completion.usage.prompt_tokens
        return read_samples(reader, texts, prompt_tokens=prompt_tokens)

    async def _write(
        self, session: ChatSession, prompt: Prompt, urls: Sequence[str], fields: Mapping[str, JsonValue]
    ) -> Generation:
        return generation(await self._ask(session, prompt, urls, fields), where=self._where)

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
        check_json(found, where=self._where)
        return found

    async def _ask(
        self, session: ChatSession, prompt: Prompt, urls: Sequence[str], fields: Mapping[str, JsonValue]
    ) -> Completion:
        fields = {"model": self._model, **fields}
        make_body = partial(chat_request, prompt, urls, self._options, fields, self._traits.chat_template)
        content = await session.post(make_body)
        completion = parse_completion(content, where=self._where)
        self._meter.count(completion)
        self._notice_change(completion)
        return completion

    async def _probe(self) -> Completion:
        """The first question, before anything depends on the answer.

        Raises:
            ConfigError: The server refuses it, or what it answers is of no use.
            EngineError: The server fails.
        """
        reader = ChoiceReader(YES_NO, self._traits.spellings)
        fields = self._fields.samples(1, first=0) if self._options.samples else self._fields.one_token()
        try:
            async with self._client.session() as session:
                fields |= {"model": self._model}
                content = await session.post(
                    partial(chat_request, _PROBE, (), self._options, fields, self._traits.chat_template)
                )
        except RequestRefused as error:
            hint = error.hint if self._options.samples else f"{error.hint}; if it has no logprobs: {NO_LOGPROBS}"
            raise ConfigError(error.message, hint=hint) from error
        try:
            completion = parse_completion(content, where=self._where)
            if self._options.samples:
                readable = reader.written(drawn_text(completion.choices[0])) is not None
            else:
                readable = probabilities(completion, reader, where=self._where).mass > 0.0
        except EngineError as error:
            raise ConfigError(error.message, hint=error.hint) from error
        if not readable:
            _LOG.warning(
                "%s does not begin its answer to a simple question with Yes or No: most answers will be undecided. "
                "A model that thinks first must be told not to, e.g. in engine.openai.extra_body",
                self._where,
            )
        self._meter.count(completion)
        return completion

    @property
    def _where(self) -> str:
        return f"model '{self._model}' at '{self._options.base_url}'"

    def _notice_change(self, completion: Completion) -> None:
        """Verdicts name the model that answered at start-up; say so when that stops being true, but once."""
        served = (completion.model, completion.system_fingerprint)
        if served != self._served and not self._changed:
            self._changed = True
            _LOG.warning(
                "%s has changed since start-up, and the digest of the model has not: %s became %s",
                self._where, self._served, served,
            )  # fmt: skip

    def _check(self, prompts: Sequence[Prompt]) -> None:
        if self._closed:
            raise EngineError(f"model '{self._model}' is closed")
        check_prompts(self._model, self._capabilities, prompts)
