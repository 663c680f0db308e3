"""An engine that asks every prompt once: for comparisons in which many settings share most of their questions."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Sequence

from judge.engines.base import YES_NO, Capabilities, Engine, JsonSchema, ModelInfo
from judge.engines.identity import frame_key
from judge.types import ChoiceProbabilities, Generation, Prompt, Usage


class MemoEngine:
    """Remembers answers of another engine, which stays the caller's to close.

    Attributes:
        spent_s: Time that the answers given so far took when they were asked first; the time of a call is shared
            evenly by its questions. So a setting costs about what it would have cost alone.
        usage: What the answers given so far cost, remembered ones included.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._choices: dict[str, tuple[ChoiceProbabilities, float]] = {}
        self._texts: dict[str, tuple[Generation, float]] = {}
        self._sampled: Counter[str] = Counter()
        self.spent_s = 0.0
        self.usage = Usage()

    @property
    def capabilities(self) -> Capabilities:
        return self._engine.capabilities

    @property
    def info(self) -> ModelInfo:
        return self._engine.info

    async def choose(self, prompts: Sequence[Prompt], choices: Sequence[str] = YES_NO) -> list[ChoiceProbabilities]:
        keys = _keys(prompts, repr(tuple(choices)))
        fresh = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in self._choices}
        if fresh:
            started_at = time.perf_counter()
            answers = await self._engine.choose([*fresh.values()], choices)
            each_s = (time.perf_counter() - started_at) / len(fresh)
            self._choices.update({key: (answer, each_s) for key, answer in zip(fresh, answers, strict=True)})
        found = [self._choices[key] for key in keys]
        self.spent_s += sum(each_s for _, each_s in found)
        self.usage += Usage(prompt_tokens=sum(answer.prompt_tokens for answer, _ in found), questions=len(found))
        return [answer for answer, _ in found]

    async def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        json_schema: JsonSchema | None = None,
    ) -> list[Generation]:
        """Sampled texts are remembered as well: the n-th time since `restart` that a prompt is sampled from, the answer
        is its n-th text. So voters who are asked the same differ, and settings that share their votes share them whole.
        """
        keys = _keys(prompts, f"{max_tokens} {temperature} {json_schema}")
        if temperature > 0.0:
            keys = [self._numbered(key) for key in keys]
        fresh = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in self._texts}
        if fresh:
            started_at = time.perf_counter()
            texts = await self._engine.generate(
                [*fresh.values()], max_tokens=max_tokens, temperature=temperature, json_schema=json_schema
            )
            each_s = (time.perf_counter() - started_at) / len(fresh)
            self._texts.update({key: (text, each_s) for key, text in zip(fresh, texts, strict=True)})
        found = [self._texts[key] for key in keys]
        self.spent_s += sum(each_s for _, each_s in found)
        self.usage += Usage(
            prompt_tokens=sum(text.prompt_tokens for text, _ in found),
            completion_tokens=sum(text.completion_tokens for text, _ in found),
            generations=len(found),
        )
        return [text for text, _ in found]

    def restart(self) -> None:
        """From here on, sampled texts are given out again, from each prompt's first."""
        self._sampled.clear()

    def _numbered(self, key: str) -> str:
        self._sampled[key] += 1
        return f"{key} {self._sampled[key]}"

    async def close(self) -> None:
        return None


def _keys(prompts: Sequence[Prompt], asked: str) -> list[str]:
    """sha256 of words and pixels; every array is digested once."""
    digests: dict[int, str] = {}
    return [
        hashlib.sha256(
            repr((asked, prompt.messages, [frame_key(frame, digests) for frame in prompt.frames])).encode()
        ).hexdigest()
        for prompt in prompts
    ]
