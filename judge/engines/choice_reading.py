"""From the likeliest tokens, or from drawn answers, to `ChoiceProbabilities`, where the whole vocabulary is not seen.

Every spelling that is one token counts (" Yes", "yes", "YES"), as in `answer_tokens`; here tokens come as text.
Pinned by tests/engines/test_choice_reading.py.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from judge.engines.base import Spellings
from judge.engines.chat_format import TopLogprob
from judge.errors import EngineError
from judge.types import ChoiceProbabilities

_MARKERS = "\u0120\u2581\u010a"
"""Leading space and newline, as vocabularies write them and some servers pass them on."""
_DECORATION = "*_\"'`([{"
"""What may stand before a written answer."""
_SPELLINGS = 6
"""Single-token spellings that a choice has as a rule: three of case, with and without the leading space."""
_ROUNDING = 0.01
"""How far the listed probabilities may add up above 1: servers round, some to half precision."""
_PSEUDO_COUNT = 0.5
_SHORTEST_HEAD = 2


class ChoiceReader:
    """Tells which choice a text means, whatever its case; for choices that differ in case only, by exact case.

    Args:
        choices: The words that were asked for.
        spellings: See `judge.engines.base`. Read to the letter, and by the tokens that begin one alone.

    Raises:
        EngineError: No choices, or choices that cannot be told apart or read.
    """

    def __init__(self, choices: Sequence[str], spellings: Spellings = MappingProxyType({})) -> None:
        bare = [choice.strip() for choice in choices]
        if not bare or not all(bare) or len(set(bare)) != len(bare):
            raise EngineError(f"choices {list(choices)!r}: at least one is needed, and each only once")
        self.choices = tuple(choices)
        folds = Counter(text.casefold() for text in bare)
        self._exact = dict(zip(bare, choices, strict=True))
        more = {spelling: choice for choice in choices for spelling in spellings.get(choice, ())}
        self._heads = _heads(more)
        self._folded = {text.casefold(): choice for text, choice in self._exact.items() if folds[text.casefold()] == 1}
        self._exact = more | self._exact

    def token(self, token: str) -> str | None:
        """The choice that one token spells, and nothing but spells."""
        bare = token.lstrip(_MARKERS).strip()
        return self._exact.get(bare, self._folded.get(bare.casefold(), self._heads.get(bare)))

    def written(self, text: str) -> str | None:
        """The choice that an answer begins with; "Nothing" does not begin with "No"."""
        bare = text.strip().lstrip(_DECORATION).lstrip()
        return _beginning(bare, self._exact) or _beginning(bare.casefold(), self._folded)


def read_logprobs(reader: ChoiceReader, top: Iterable[TopLogprob], *, prompt_tokens: int) -> ChoiceProbabilities:
    """Probabilities of the choices from the likeliest tokens of one position.

    `mass` counts listed tokens only, so it is never too high. A choice that is not listed is less likely than the
    last listed token, in each of its spellings, and all that is unlisted shares what the list leaves of 1: it gets the
    most that both bounds allow, but no more than a listed choice has. So a short list pulls an answer towards the
    middle and never over it. If no choice is listed, nothing is known of the answer: mass 0.0, unreadable by contract.

    Raises:
        EngineError: The list is no part of a probability distribution.
    """
    # A repeated entry is the drawn token, listed again. Servers that write -9999 mean "not listed".
    listed = [(each.token, p) for each in dict.fromkeys(top) if (p := math.exp(each.logprob)) > 0.0]
    total = math.fsum(p for _, p in listed)
    if total > 1.0 + _ROUNDING:
        raise EngineError(f"the probabilities of the {len(listed)} likeliest tokens add up to {total:.3f}")
    found: dict[str, list[float]] = {}
    for token, p in listed:
        choice = reader.token(token)
        if choice is not None:
            found.setdefault(choice, []).append(p)
    if not found:
        return unreadable(reader, prompt_tokens=prompt_tokens)
    masses = {choice: math.fsum(spelled) for choice, spelled in found.items()}
    unlisted = min(max(0.0, 1.0 - total), _SPELLINGS * min(p for _, p in listed), *masses.values())
    weights = {choice: masses.get(choice, unlisted) for choice in reader.choices}
    return _normalized(weights, min(1.0, math.fsum(masses.values())), prompt_tokens)


def read_samples(reader: ChoiceReader, texts: Sequence[str], *, prompt_tokens: int) -> ChoiceProbabilities:
    """Shares of drawn answers. `mass` is the share that begins with a choice.

    Every choice gets half a vote more than it was given (the Jeffreys prior, as Krichevsky and Trofimov use it), so
    that a few equal samples are not certainty.
    """
    votes = Counter(choice for text in texts if (choice := reader.written(text)) is not None)
    if not votes:
        return unreadable(reader, prompt_tokens=prompt_tokens)
    weights = {choice: votes[choice] + _PSEUDO_COUNT for choice in reader.choices}
    return _normalized(weights, votes.total() / len(texts), prompt_tokens)


def unreadable(reader: ChoiceReader, *, prompt_tokens: int) -> ChoiceProbabilities:
    """The model answered with something else. The equal shares are placeholders: a mass of 0.0 forbids to read them."""
    share = 1.0 / len(reader.choices)
    return ChoiceProbabilities(dict.fromkeys(reader.choices, share), 0.0, prompt_tokens)


def _normalized(weights: Mapping[str, float], mass: float, prompt_tokens: int) -> ChoiceProbabilities:
    total = math.fsum(weights.values())
    return ChoiceProbabilities({choice: weight / total for choice, weight in weights.items()}, mass, prompt_tokens)


def _heads(spellings: Mapping[str, str]) -> dict[str, str]:
    """What begins the spellings of one choice only; single letters begin too much else."""
    claims: dict[str, set[str]] = {}
    for spelling, choice in spellings.items():
        for end in range(_SHORTEST_HEAD, len(spelling)):
            claims.setdefault(spelling[:end], set()).add(choice)
    return {head: next(iter(owners)) for head, owners in claims.items() if len(owners) == 1}


def _beginning(text: str, choices: Mapping[str, str]) -> str | None:
    """The longest choice that `text` begins with, as whole words."""
    for word in sorted(choices, key=len, reverse=True):
        if text.startswith(word) and not text[len(word) : len(word) + 1].isalnum():
            return choices[word]
    return None
