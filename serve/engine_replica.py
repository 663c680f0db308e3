"""One model, as replicas hold it. Plain; `serve.app` makes a deployment of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from judge.canary import check_at_start
from judge.config import EngineConfig
from judge.engines.base import YES_NO, Capabilities, JsonSchema, ModelInfo
from judge.engines.build import build_engine
from judge.profiles import resolve_profile
from judge.types import ChoiceProbabilities, Generation, Prompt
from serve.batching import batched
from serve.engine_check import check_engine


@dataclass(frozen=True, slots=True)
class EngineDescription:
    """What whoever asks from afar must know."""

    info: ModelInfo
    capabilities: Capabilities
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """Prompts of one replica: those it works on or has waiting, and those that ended, answered or not."""

    under_way: int = 0
    ended: int = 0


class EngineReplica:
    """Answers prompts, as an `Engine`; calls that come at the same time are asked together."""

    def __init__(self, config: EngineConfig, batch_wait_ms: float) -> None:
        config = resolve_profile(config)
        engine = build_engine(config)
        with ThreadPoolExecutor(1) as pool:  # Serve builds replicas inside a running loop
            self._notices = pool.submit(asyncio.run, check_at_start(engine, config)).result()
        self._engine = batched(engine, config, batch_wait_ms)
        self._load = EngineLoad()

    @property
    def info(self) -> ModelInfo:
        return self._engine.info

    @property
    def capabilities(self) -> Capabilities:
        return self._engine.capabilities

    @property
    def notices(self) -> tuple[str, ...]:
        """What every verdict must say of this model."""
        return self._notices

    async def describe(self) -> EngineDescription:
        return EngineDescription(self.info, self.capabilities, self.notices)

    async def choose(self, prompts: Sequence[Prompt], choices: Sequence[str] = YES_NO) -> list[ChoiceProbabilities]:
        """As `Engine.choose`."""
        with self._counted(len(prompts)):
            return await self._engine.choose(prompts, choices)

    async def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        json_schema: JsonSchema | None = None,
    ) -> list[Generation]:
        """As `Engine.generate`."""
        with self._counted(len(prompts)):
            return await self._engine.generate(
                prompts, max_tokens=max_tokens, temperature=temperature, json_schema=json_schema
            )

    async def load(self) -> EngineLoad:
        return self._load

    async def check_health(self) -> None:
        """Asks the model something small. Raises `EngineError` if it does not answer."""
        await check_engine(self._engine)

    async def close(self) -> None:
        await self._engine.close()

    @contextmanager
    def _counted(self, n_prompts: int) -> Iterator[None]:
        self._load = EngineLoad(self._load.under_way + n_prompts, self._load.ended)
        try:
            yield
        finally:
            self._load = EngineLoad(self._load.under_way - n_prompts, self._load.ended + n_prompts)
