"""An engine whose model runs in replicas behind a Ray handle."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from judge.engines.base import YES_NO, Capabilities, JsonSchema, ModelInfo
from judge.errors import EngineError
from judge.types import ChoiceProbabilities, Generation, Prompt
from serve.calls import ReplicaDied, ask
from serve.engine_replica import EngineDescription

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

_LOG = logging.getLogger(__name__)
_ATTEMPTS = 3
"""Replicas asked before a call has failed: the one that died, and two more."""


class RemoteEngine:
    """As `Engine`; a batch is one call, and the calls about one picture go to one replica, which has it encoded."""

    def __init__(self, handle: DeploymentHandle, description: EngineDescription) -> None:  # type: ignore[type-arg]
        self._handle = handle
        self._description = description

    @property
    def capabilities(self) -> Capabilities:
        return self._description.capabilities

    @property
    def info(self) -> ModelInfo:
        return self._description.info

    @property
    def notices(self) -> tuple[str, ...]:
        """What every verdict must say of this model."""
        return self._description.notices

    async def choose(self, prompts: Sequence[Prompt], choices: Sequence[str] = YES_NO) -> list[ChoiceProbabilities]:
        """As `Engine.choose`. Raises `Overloaded` if the replicas have no room."""
        if not prompts:
            return []
        answers: list[ChoiceProbabilities] = await self._call("choose", prompts, choices=tuple(choices))
        return answers

    async def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        json_schema: JsonSchema | None = None,
    ) -> list[Generation]:
        """As `Engine.generate`. Raises `Overloaded` if the replicas have no room."""
        if not prompts:
            return []
        texts: list[Generation] = await self._call(
            "generate", prompts, max_tokens=max_tokens, temperature=temperature, json_schema=json_schema
        )
        return texts

    async def close(self) -> None:
        """The replicas live on."""

    async def _call(self, method: str, prompts: Sequence[Prompt], **fields: object) -> Any:
        handle = self._handle.options(method_name=method, session_id=pictures_digest(prompts))
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await ask(handle, list(prompts), **fields)
            except ReplicaDied as error:
                _LOG.warning("a replica of model '%s' died under a call (attempt %d)", self.info.name, attempt)
                if attempt == _ATTEMPTS:
                    raise EngineError(f"model '{self.info.name}' died {attempt} times under the same call") from error
        raise AssertionError("unreachable")


def pictures_digest(prompts: Sequence[Prompt]) -> str:
    """Of the first frame of the first prompt that has one: calls about the same picture share it."""
    frame = next((frame for prompt in prompts for frame in prompt.frames), None)
    return hashlib.sha256(frame.image.tobytes()).hexdigest()[:32] if frame is not None else ""
