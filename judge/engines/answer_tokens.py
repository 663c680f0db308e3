"""Which tokens mean each choice, and how probable the choices are after a prompt.

The token trap: " Yes" is not "Yes". Behind "Answer:" a model writes the token with the leading space, behind a
newline the one without, and some prefer "YES". In byte-level vocabularies the space is part of the token
("\u0120Yes"), in sentencepiece ones it is a marker ("\u2581Yes") that `encode` also puts in front of the bare word.
Reading one spelling alone throws away most of the probability with one model and none with the next, so every
spelling that is one token counts. Pinned by tests/engines/test_answer_tokens.py.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from judge.engines.base import Spellings
from judge.errors import EngineError
from judge.types import ChoiceProbabilities

if TYPE_CHECKING:
    from torch import Tensor

_SPACES = ("", " ", "\n")
_MARKERS = ("", "\u0120", "\u2581", "\u010a", " ", "\n")
"""What stands for a leading space or newline inside a vocabulary: byte-level, sentencepiece, plain."""


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that is needed here."""

    @property
    def name_or_path(self) -> str: ...

    @property
    def all_special_ids(self) -> list[int]: ...

    def get_vocab(self) -> dict[str, int]: ...

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...

    def decode(self, token_ids: Sequence[int], *, skip_special_tokens: bool) -> str: ...


@dataclass(frozen=True, slots=True)
class AnswerTokens:
    """Token ids of each choice, sorted; no id belongs to two choices and no choice is without one."""

    choices: tuple[str, ...]
    token_ids: tuple[tuple[int, ...], ...]


def answer_tokens(
    tokenizer: Tokenizer, choices: Sequence[str], spellings: Spellings = MappingProxyType({})
) -> AnswerTokens:
    """Find the tokens that answer with each choice.

    Spellings that are one token count. Only where a choice has none, the first token of its longer spellings
    stands in, because a first token ("Y" of "YES") also begins other words. A token that begins the spellings of
    two choices says nothing and is dropped. More `spellings` count by their first token even beside whole words: a
    model that is known to write "Unsafe" begins with "Un" where that is no single token.

    Raises:
        EngineError: No choices, a choice twice, or a choice that no token tells from the others.
    """
    if not choices or len(set(choices)) != len(choices):
        raise EngineError(f"choices {list(choices)!r}: at least one is needed, and each only once")
    vocabulary = tokenizer.get_vocab()
    found = [
        _with_more(tokenizer, spellings.get(choice, ()), *_spelling_tokens(tokenizer, vocabulary, choice))
        for choice in choices
    ]
    claims = Counter(token for whole, first in found for token in whole | first)
    own = {token for token, count in claims.items() if count == 1}
    ids = tuple(tuple(sorted(whole & own or first & own)) for whole, first in found)
    for choice, tokens in zip(choices, ids, strict=True):
        if not tokens:
            raise EngineError(
                f"tokenizer '{tokenizer.name_or_path}' has no token that answers '{choice}' and no other choice",
                hint="choose words that differ in their first token",
            )
    return AnswerTokens(tuple(choices), ids)


def choice_log_masses(logits: Tensor, answers: AnswerTokens) -> Tensor:
    """Log probability of each choice over the whole vocabulary.

    Args:
        logits: `(rows, vocabulary)`, any float type: no grammar and no mask may have touched them.
        answers: Which tokens to sum.

    Returns:
        `(rows, choices)` float32.
    """
    import torch  # noqa: PLC0415  (the rest of this file serves engines without torch)

    logprobs = torch.log_softmax(logits.float(), dim=-1)
    columns = [torch.logsumexp(logprobs[:, list(ids)], dim=-1) for ids in answers.token_ids]
    return torch.stack(columns, dim=-1)


def sum_log_masses(logprobs: Mapping[int, float], answers: AnswerTokens) -> list[float]:
    """The same from log probabilities of single tokens, as a library or a service returns them.

    Args:
        logprobs: Token id -> its log probability in the whole vocabulary.
        answers: Which tokens to sum; none may be missing.
    """
    return [_log_sum([logprobs[token] for token in ids]) for ids in answers.token_ids]


def normalize(log_masses: Sequence[float]) -> tuple[tuple[float, ...], float]:
    """Probabilities over the choices alone, and their label mass in the whole vocabulary.

    Raises:
        EngineError: A value is NaN, or no choice has any probability.
    """
    highest = max(log_masses)
    if any(math.isnan(value) for value in log_masses) or math.isinf(highest):
        raise EngineError(
            f"the model returned no usable probabilities (log masses {list(log_masses)})",
            hint="try dtype float32; half precision can overflow",
        )
    weights = [math.exp(value - highest) for value in log_masses]
    total = math.fsum(weights)
    mass = min(1.0, math.exp(highest) * total)  # rounding must not lift it over 1
    return tuple(weight / total for weight in weights), mass


def choice_answer(choices: Sequence[str], log_masses: Sequence[float], prompt_tokens: int) -> ChoiceProbabilities:
    """What an engine returns for one prompt.

    Raises:
        EngineError: See `normalize`.
    """
    probabilities, mass = normalize(log_masses)
    return ChoiceProbabilities(dict(zip(choices, probabilities, strict=True)), mass, prompt_tokens)


def _log_sum(logprobs: Sequence[float]) -> float:
    highest = max(logprobs)
    if any(math.isnan(value) for value in logprobs):  # max may pass over it
        return math.nan
    return highest if math.isinf(highest) else highest + math.log(math.fsum(math.exp(x - highest) for x in logprobs))


def _spelling_tokens(tokenizer: Tokenizer, vocabulary: dict[str, int], choice: str) -> tuple[set[int], set[int]]:
    """Tokens that are a whole spelling, and tokens that begin a longer one."""
    special = set(tokenizer.all_special_ids)
    whole: set[int] = set()
    first: set[int] = set()
    for spelling in dict.fromkeys((choice, choice.lower(), choice.upper(), choice.capitalize())):
        whole.update(vocabulary[marker + spelling] for marker in _MARKERS if marker + spelling in vocabulary)
        for space in _SPACES:
            tokens = tokenizer.encode(space + spelling, add_special_tokens=False)
            (whole if len(tokens) == 1 else first).update(tokens[:1])
    return _words(tokenizer, whole - special), _words(tokenizer, first - special - whole)


def _with_more(
    tokenizer: Tokenizer, spellings: Sequence[str], whole: set[int], first: set[int]
) -> tuple[set[int], set[int]]:
    heads = {
        token
        for spelling in spellings
        for space in _SPACES
        for token in tokenizer.encode(space + spelling, add_special_tokens=False)[:1]
    }
    return whole | _words(tokenizer, heads - set(tokenizer.all_special_ids)), first


def _words(tokenizer: Tokenizer, tokens: set[int]) -> set[int]:
    """Without tokens that are only white space: they begin everything."""
    return {token for token in tokens if tokenizer.decode([token], skip_special_tokens=False).strip()}
