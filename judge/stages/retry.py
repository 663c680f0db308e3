"""One call for all; if it fails, one by one, so that only those that fail alone stay unanswered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from judge.errors import AnswerError, EngineError

Item = TypeVar("Item")
Answer = TypeVar("Answer")
Unanswered = EngineError | AnswerError
"""The engine failed, or what it wrote is no answer (a server may withhold a text)."""


async def ask_each(
    ask: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]], items: Sequence[Item]
) -> list[Answer | Unanswered]:
    """The answer to every item, in order, or why it has none."""
    if not items:
        return []
    try:
        return [*await ask(items)]
    except (EngineError, AnswerError) as error:
        if len(items) == 1:
            return [error]
    return [each for item in items for each in await ask_each(ask, [item])]
