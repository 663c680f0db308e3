"""Keeps what a transformers model writes inside a JSON schema, with llguidance (optional) and its own tokenizer.

Never used for probabilities of choices: under a grammar their mass would always look perfect.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from judge.engines.admission import SchemaRefused
from judge.engines.base import JsonSchema
from judge.errors import EngineError

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

_LOG = logging.getLogger(__name__)

Guide = Callable[[Tensor, Tensor], Tensor]
"""Token ids so far `(1, length)` and next scores `(1, vocabulary)` -> scores, minus infinity where a token may not be.

transformers calls it a logits processor. It remembers what it has seen: one per text."""


class JsonGrammar:
    """Of one tokenizer."""

    def __init__(self, name: str, tokenizer: LLTokenizer) -> None:
        self._name = name
        self._tokenizer = tokenizer

    def guide(self, schema: JsonSchema) -> Guide:
        """For one text.

        Raises:
            SchemaRefused: It is no JSON schema, or one with keywords that cannot be enforced.
        """
        from llguidance import LLMatcher  # noqa: PLC0415

        # Free white space lets a weak model write nothing else until its tokens are used up.
        grammar = LLMatcher.grammar_from_json_schema(json.dumps(dict(schema)), overrides={"whitespace_flexible": False})
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise SchemaRefused(f"model '{self._name}' cannot write under this JSON schema: {matcher.get_error()}")
        return _Mask(self._name, matcher)


def open_json_grammar(name: str, tokenizer: Any, ends: Sequence[int]) -> JsonGrammar | None:
    """None, and a line in the log, where llguidance is not installed or does not know this kind of tokenizer.

    Args:
        name: The model's, for messages.
        tokenizer: The model's own.
        ends: Token ids that end a text.
    """
    try:
        from llguidance.hf import from_tokenizer  # noqa: PLC0415

        if ends:
            return JsonGrammar(name, from_tokenizer(tokenizer, eos_token=list(ends)))
        reason = "it has no token that ends a text"
    except ModuleNotFoundError as error:
        reason = f"the package '{error.name}' is not installed"
    except Exception as error:  # a tokenizer that is not a fast one, or of a kind that the library cannot read
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    _LOG.info("model '%s' does not write under JSON schemas: %s", name, reason)
    return None


class _Mask:
    def __init__(self, name: str, matcher: LLMatcher) -> None:
        self._name = name
        self._matcher = matcher
        self._n_seen = 0

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        if self._n_seen:
            self._matcher.consume_tokens(ids[0, self._n_seen :].tolist())
        self._n_seen = ids.shape[1]
        if self._matcher.is_error():
            raise EngineError(f"model '{self._name}' has left its JSON schema: {self._matcher.get_error()}")
        allowed = torch.frombuffer(bytearray(self._matcher.compute_logit_bias()), dtype=torch.uint8) > 0
        masked = torch.full_like(scores, -torch.inf)
        n = min(len(allowed), scores.shape[1])  # embeddings are often padded beyond the tokenizer
        kept = allowed[:n].to(scores.device)
        masked[0, :n][kept] = scores[0, :n][kept]
        return masked
