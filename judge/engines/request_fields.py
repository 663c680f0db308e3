"""What a chat request asks for beside the conversation: likely first tokens, drawn answers, a text."""

from __future__ import annotations

from pydantic import JsonValue

from judge.config import OpenAIOptions

_SAMPLE_TOKENS = 8
"""Enough to tell "No" from "Nothing"; the rest of an answer is not read."""


class RequestFields:
    """Written as one server wants them."""

    def __init__(self, options: OpenAIOptions) -> None:
        self._options = options

    def one_token(self) -> dict[str, JsonValue]:
        return {
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": self._options.top_logprobs,
            self._options.max_tokens_field: 1,
        }

    def samples(self, n: int, *, first: int) -> dict[str, JsonValue]:
        """`n` short answers; `first` = how many were drawn before."""
        fields = self.text(1.0, copy=first, max_tokens=_SAMPLE_TOKENS)
        return fields if n == 1 else fields | {"n": n}

    def text(self, temperature: float, *, copy: int, max_tokens: int) -> dict[str, JsonValue]:
        """`copy` = how many texts of the same prompt come before: each gets a seed of its own."""
        fields: dict[str, JsonValue] = {"temperature": temperature}
        if temperature > 0.0 and self._options.seed is not None:
            fields["seed"] = self._options.seed + copy
        return fields | {self._options.max_tokens_field: max_tokens}
