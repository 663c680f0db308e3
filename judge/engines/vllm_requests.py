"""How prompts are put to a running vLLM: each picture prepared once, its first question alone, then the others.

Nothing is imported from vLLM here; `judge.engines.vllm` starts it.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import json
import math
import threading
from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from PIL import Image

from judge.engines.admission import check_length
from judge.engines.answer_tokens import AnswerTokens, answer_tokens, choice_answer, sum_log_masses
from judge.engines.base import YES_NO, JsonSchema, ModelInfo, Spellings
from judge.engines.encoding import PromptEncoder
from judge.engines.grouping import PromptGroup, group_prompts
from judge.engines.identity import sample_seeds
from judge.engines.probe import PROBE_SCHEMA, PROBE_TOKENS, probe_groups, probe_questions
from judge.engines.vllm_interface import AsyncLLM, Completion, Media
from judge.errors import EngineError
from judge.types import ChoiceProbabilities, Generation, Prompt

T = TypeVar("T")
_MAX_ANSWER_TOKENS = 128
"""vLLM's own limit for `logprob_token_ids`."""


class VllmRequests:
    """Everything here runs on the loop that vLLM lives on.

    Args:
        llm: Running.
        encoder: The model's own.
        info: Which model it is.
        settings: Everything beside the model that decides how a picture is prepared.
        sampling: vLLM's `SamplingParams`, for answers that come whole and as token ids; takes a `json_schema` too.
        spellings: See `judge.engines.base`.
    """

    def __init__(
        self,
        llm: AsyncLLM,
        encoder: PromptEncoder,
        info: ModelInfo,
        *,
        settings: str,
        sampling: Callable[..., object],
        spellings: Spellings,
    ) -> None:
        self._llm = llm
        self._encoder = encoder
        self._name = info.name
        self._namespace = f"{info.digest}\0{settings}"
        self._sampling = sampling
        self._spellings = spellings
        self._max_tokens = int(llm.vllm_config.model_config.max_model_len)
        self._answers: dict[tuple[str, ...], AnswerTokens] = {}
        self._ids = map(str, itertools.count())
        self._lock = threading.Lock()

    async def choose(self, prompts: Sequence[Prompt], choices: tuple[str, ...]) -> list[ChoiceProbabilities]:
        answers = self.answers_of(choices)
        groups = await asyncio.to_thread(self._group, prompts)
        found: dict[int, ChoiceProbabilities] = {}
        for group, replies in zip(groups, await _all(self._ask_group(group, answers) for group in groups), strict=True):
            for rows, answer in zip(group.rows.values(), replies, strict=True):
                found.update(dict.fromkeys(rows, answer))
        return [found[row] for row in range(len(prompts))]

    async def _ask_group(self, group: PromptGroup, answers: AnswerTokens) -> list[ChoiceProbabilities]:
        """The first question alone: it leaves the picture in vLLM's caches, where the others find it."""
        ask = partial(self._ask, group, params=self._reading(answers), n_written=1)
        first, *others = group.rows
        replies = [await ask(await self._media(group), first)]
        if others:
            media = await self._media(group)  # the child process has the pixels now: they are not sent again
            replies += await _all(ask(media, tail) for tail in others)
        return [choice_answer(answers.choices, _log_masses(reply, answers), n) for reply, n in replies]

    async def generate(
        self, prompts: Sequence[Prompt], max_tokens: int, temperature: float, schema: JsonSchema | None
    ) -> list[Generation]:
        groups, seeds = await asyncio.to_thread(lambda: (self._group(prompts), sample_seeds(prompts)))
        writing = [self._writing(max_tokens, temperature, seed, schema) for seed in seeds]
        found = await _all(self._write_group(group, writing, max_tokens) for group in groups)
        texts = {row: text for group in found for row, text in group.items()}
        return [texts[row] for row in range(len(prompts))]

    async def _write_group(
        self, group: PromptGroup, writing: Sequence[object], max_tokens: int
    ) -> dict[int, Generation]:
        media = await self._media(group)
        work = [(row, tail) for tail, rows in group.rows.items() for row in rows]
        replies = await _all(
            self._ask(group, media, tail, params=writing[row], n_written=max_tokens) for row, tail in work
        )
        return {row: self._text(*reply) for (row, _), reply in zip(work, replies, strict=True)}

    def _text(self, reply: Completion, n_prompt: int) -> Generation:
        written = list(reply.token_ids)
        return Generation(
            text=self._encoder.tokenizer.decode(written, skip_special_tokens=True).strip(),
            finish_reason="stop" if reply.finish_reason == "stop" else "length",
            prompt_tokens=n_prompt,
            completion_tokens=len(written),
        )

    async def _ask(
        self, group: PromptGroup, media: Media, tail: Sequence[int], *, params: object, n_written: int
    ) -> tuple[Completion, int]:
        """One prompt; a second time with the pixels if the child process has just forgotten them."""
        reply, n_prompt = await self._send(media, tail, params, n_written)
        if reply.finish_reason == "error" and group.frames:
            reply, n_prompt = await self._send(await self._media(group, again=True), tail, params, n_written)
        if reply.finish_reason not in ("stop", "length"):
            raise EngineError(f"model '{self._name}': vLLM ended a prompt with '{reply.finish_reason}'")
        return reply, n_prompt

    async def _send(self, media: Media, tail: Sequence[int], params: object, n_written: int) -> tuple[Completion, int]:
        ids = [*media["prompt_token_ids"], *tail]
        check_length(self._name, len(ids) + n_written, self._max_tokens)
        outputs = [
            output async for output in self._llm.generate({**media, "prompt_token_ids": ids}, params, next(self._ids))
        ]
        if not outputs or not outputs[-1].outputs:
            raise EngineError(f"model '{self._name}': vLLM gave no answer")
        return outputs[-1].outputs[0], len(ids)

    # --- preparing ------------------------------------------------------------------------------------------

    def answers_of(self, choices: tuple[str, ...]) -> AnswerTokens:
        if choices not in self._answers:
            found = answer_tokens(self._encoder.tokenizer, choices, self._spellings)
            if sum(map(len, found.token_ids)) > _MAX_ANSWER_TOKENS:
                raise EngineError(f"choices {list(choices)!r} have more than {_MAX_ANSWER_TOKENS} answer tokens")
            self._answers[choices] = found
        return self._answers[choices]

    def _group(self, prompts: Sequence[Prompt]) -> list[PromptGroup]:
        with self._lock:  # some tokenizers do not bear two threads
            return group_prompts(self._encoder, prompts)

    async def _media(self, group: PromptGroup, *, again: bool = False) -> Media:
        """The head of a group as vLLM wants it.

        Args:
            group: Whose.
            again: Send the pixels, whatever vLLM believes that its child process still has.
        """
        if not group.frames:
            return {"type": "token", "prompt_token_ids": ()}
        return await self._render(group, group.head, again=again)

    async def _render(self, group: PromptGroup, ids: Sequence[int], *, again: bool = False) -> Media:
        prompt = {
            "prompt_token_ids": list(ids),
            "multi_modal_data": {"image": [Image.fromarray(frame.image) for frame in group.frames]},
            "multi_modal_uuids": {"image": [self._uuid(key) for key in group.keys]},
        }
        try:
            (media,) = await self._llm.renderer.render_cmpl_async([prompt], skip_mm_cache=again)
        except AssertionError as error:
            if again or "Expected a cached item" not in str(error):
                raise
            return await self._render(group, ids, again=True)
        return media

    def _uuid(self, key: str) -> str:
        """Under which vLLM caches a picture: what was seen, and everything that decides how."""
        return hashlib.sha256(f"{self._namespace}\0{key}".encode()).hexdigest()

    def _reading(self, answers: AnswerTokens) -> object:
        """Log probabilities of the answer tokens under the whole vocabulary, as the model gives them."""
        ids = [token for same in answers.token_ids for token in same]
        return self._sampling(max_tokens=1, temperature=0.0, logprob_token_ids=ids)

    def _writing(self, max_tokens: int, temperature: float, seed: int, schema: JsonSchema | None) -> object:
        return self._sampling(
            max_tokens=max_tokens, temperature=temperature, seed=seed, top_p=1.0, top_k=0, json_schema=schema
        )

    # --- the test of itself ---------------------------------------------------------------------------------

    async def test(self, tolerance: float) -> None:
        """Tokens as the model's authors make them; and no picture's answer for another one.

        Args:
            tolerance: In log probability.

        Raises:
            EngineError: vLLM does something else with this model.
        """
        answers = self.answers_of(YES_NO)
        prompts = [prompt for group in probe_groups() for prompt in group]
        groups = self._group(prompts)
        for group in groups:
            await self._test_tokens(group, prompts)
        await self._forget()
        together = await _all(self._ask_group(group, answers) for group in groups)
        for group, found in zip(groups, together, strict=True):
            await self._forget()
            alone = [
                (await self._ask_group(PromptGroup(group.head, group.frames, group.keys, {tail: rows}), answers))[0]
                for tail, rows in group.rows.items()
            ]
            if not all(_agree(*pair, tolerance) for pair in zip(found, alone, strict=True)):
                raise EngineError(
                    f"model '{self._name}': two pictures asked about at once get other answers than alone",
                    hint="report it to vLLM; use the engine transformers",
                )
        await self._ask_group(self._group(probe_questions(()))[0], answers)

    async def test_schemas(self) -> None:
        """A schema that leaves no choice, which no model would write by itself.

        Raises:
            EngineError: vLLM refuses it or writes something else.
        """
        prompts = probe_questions(())[:1]
        (found,) = await self.generate(prompts, PROBE_TOKENS, 0.0, PROBE_SCHEMA)
        if (found.text, found.finish_reason) != (json.dumps(PROBE_SCHEMA["const"]), "stop"):
            raise EngineError(f"model '{self._name}': vLLM does not keep to a JSON schema: {found.text!r}")

    async def _test_tokens(self, group: PromptGroup, prompts: Sequence[Prompt]) -> None:
        head = tuple((await self._media(group))["prompt_token_ids"])
        for tail, rows in group.rows.items():
            expected = tuple(self._encoder.encode(prompts[rows[0]])["input_ids"][0].tolist())
            whole = tuple((await self._render(group, (*group.head, *tail)))["prompt_token_ids"])
            if not (*head, *tail) == whole == expected:
                raise EngineError(
                    f"model '{self._name}': vLLM makes other tokens of a prompt than the model's own processor",
                    hint="use the engine transformers for this model",
                )

    async def _forget(self) -> None:
        await self._llm.reset_prefix_cache()
        await self._llm.reset_mm_cache()
        await self._llm.reset_encoder_cache()


def _agree(one: ChoiceProbabilities, other: ChoiceProbabilities, tolerance: float) -> bool:
    pairs = [(one.mass * p, other.mass * other.probabilities[choice]) for choice, p in one.probabilities.items()]
    return all(a == b or abs(math.log(a) - math.log(b)) <= tolerance for a, b in pairs)


async def _all(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all at once; the first failure cancels the rest, so that vLLM does not go on for nobody."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        raise


def _log_masses(reply: Completion, answers: AnswerTokens) -> list[float]:
    if not reply.logprobs:
        raise EngineError("vLLM returned no log probabilities")
    return sum_log_masses({token: found.logprob for token, found in reply.logprobs[0].items()}, answers)
