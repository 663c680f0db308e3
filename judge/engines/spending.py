"""What a server has been asked to do so far, and what that costs by its prices."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from judge.config import OpenAIOptions
from judge.engines.chat_format import Completion


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


class Meter:
    """Adds up, from whatever thread."""

    def __init__(self, options: OpenAIOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._spend = Spend()

    @property
    def spend(self) -> Spend:
        return self._spend

    def count(self, completion: Completion) -> None:
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
