"""Finds in-context examples as VHD11K did: annotate a labelled set, show what went wrong as examples, repeat.

Ends when the true-positive and the true-negative rate both reach their targets, or after so many rounds.
Source: VHD11K (arXiv 2409.19734). It does not say whether examples were scored as well; leaving them out alone would
let the rates rise by removing errors, whatever the model learns. So there are two rates, and both must reach the
target: over the media that are no examples, and over all media, an example being judged without itself among the
examples. No media is ever judged in sight of its own answer.

Not here: pictures and engines (`Ask`).
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from judge.bench.in_context import most_harmful
from judge.errors import ConfigError
from judge.metrics import proportion
from judge.types.names import Wire


@dataclass(frozen=True, slots=True)
class Candidate:
    """Labelled media; `detail` is the category, or why it is unharmful."""

    name: str
    harmful: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of one media. `harmful` is None if it is undecided; `failed` if it was not judged at all."""

    harmful: bool | None
    probability: float | None = None
    failed: bool = False


Ask = Callable[[Sequence[Candidate], Sequence[Candidate]], Awaitable[Sequence[Said]]]
"""Media and the examples in use -> what is said of each, in order; media is not among its own examples."""


class Rate(Wire):
    """A share of right answers with its 95 % interval; `value` is NaN (null in JSON) if `of` is 0."""

    right: int
    of: int
    value: float
    low: float
    high: float


class Rates(Wire):
    """How media were judged. What is undecided counts in `of`, and never as right; what failed counts nowhere."""

    tpr: Rate
    """Over the harmful ones."""
    tnr: Rate
    """Over the unharmful ones."""
    undecided: int
    failed: int


class Round(Wire):
    """One pass over the labelled set."""

    number: int
    """From 1 on."""
    examples: tuple[str, ...]
    """In use."""
    rest: Rates
    """Over the media that are no examples: as published."""
    everything: Rates
    """Over all media, an example being judged without itself."""
    passed: bool
    """Whether all four rates reach their targets."""


@dataclass(frozen=True, slots=True)
class Targets:
    """When it is enough, and where it ends."""

    tpr: float = 0.75
    tnr: float = 0.75
    max_rounds: int = 5
    max_examples: int = 14


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of it.

    Attributes:
        examples: Of the round with the highest of its lowest rates, the earliest of several.
        best: That round's number.
        reason: Why it ended without reaching the targets; empty if it reached them.
    """

    examples: tuple[Candidate, ...]
    rounds: tuple[Round, ...]
    best: int
    reason: str

    @property
    def converged(self) -> bool:
        return not self.reason


async def tune(
    candidates: Sequence[Candidate], ask: Ask, targets: Targets, *, tell: Callable[[Round], None] = lambda _: None
) -> Tuned:
    """Search for examples, beginning with none. The same answers give the same examples.

    Raises:
        ConfigError: One of the two classes is missing.
    """
    check_classes(candidates)
    in_use: list[Candidate] = []
    history: list[tuple[Round, tuple[Candidate, ...]]] = []
    reason = ""
    while True:
        said = await ask(candidates, in_use)
        found = _round(len(history) + 1, candidates, said, in_use, targets)
        history.append((found, tuple(in_use)))
        tell(found)
        added = [] if found.passed else _next(candidates, said, in_use, found, targets)
        reason = _why_end(found, said, added, targets)
        if found.passed or reason:
            break
        in_use += added
    best, examples = max(history, key=lambda pair: _worst(pair[0]))
    return Tuned(examples, tuple(each for each, _ in history), best.number, reason)


def check_classes(candidates: Sequence[Candidate]) -> None:
    """Raises `ConfigError` if one of the two classes is missing."""
    for harmful, word in ((True, "harmful"), (False, "unharmful")):
        if not any(each.harmful == harmful for each in candidates):
            raise ConfigError(f"the labelled set has no {word} media, so that one of the two rates does not exist")


def _round(
    number: int, candidates: Sequence[Candidate], said: Sequence[Said], in_use: Sequence[Candidate], targets: Targets
) -> Round:
    pairs = list(zip(candidates, said, strict=True))
    rest = _rates([(each, answer) for each, answer in pairs if each not in in_use])
    everything = _rates(pairs)
    reached = [rates.tpr.value >= targets.tpr and rates.tnr.value >= targets.tnr for rates in (rest, everything)]
    return Round(
        number=number,
        examples=tuple(each.name for each in in_use),
        rest=rest,
        everything=everything,
        passed=all(reached),
    )


def _rates(pairs: Sequence[tuple[Candidate, Said]]) -> Rates:
    judged = [(each.harmful, answer.harmful) for each, answer in pairs if not answer.failed]
    return Rates(
        tpr=_rate([said is True for harmful, said in judged if harmful]),
        tnr=_rate([said is False for harmful, said in judged if not harmful]),
        undecided=sum(said is None for _, said in judged),
        failed=len(pairs) - len(judged),
    )


def _rate(right: Sequence[bool]) -> Rate:
    measured = proportion(sum(right), len(right))
    return Rate(right=sum(right), of=len(right), value=measured.value, low=measured.low, high=measured.high)


def _next(
    candidates: Sequence[Candidate], said: Sequence[Said], in_use: Sequence[Candidate], found: Round, targets: Targets
) -> list[Candidate]:
    """Misjudged media of the classes that fail, as far as there is room: the surest errors first, both in turn."""
    rates = (found.rest, found.everything)
    fails = {True: any(not each.tpr.value >= targets.tpr for each in rates)}
    fails[False] = any(not each.tnr.value >= targets.tnr for each in rates)
    harmful_room = most_harmful(targets.max_examples) if targets.max_examples else 0
    room = {True: harmful_room, False: targets.max_examples - harmful_room}
    per_class = []
    for harmful in (True, False):
        left = room[harmful] - sum(each.harmful == harmful for each in in_use)
        wrong = [
            (_surety(answer), place)
            for place, (each, answer) in enumerate(zip(candidates, said, strict=True))
            if each.harmful == harmful and each not in in_use and not answer.failed and answer.harmful != harmful
        ]
        ranked = [candidates[place] for _, place in sorted(wrong, key=lambda pair: (-pair[0], pair[1]))]
        per_class.append(ranked[: max(left, 0)] if fails[harmful] else [])
    in_turn = [each for pair in zip_longest(*per_class) for each in pair if each is not None]
    return in_turn[: math.ceil(targets.max_examples / max(targets.max_rounds - 1, 1))]


def _surety(answer: Said) -> float:
    """How sure a wrong answer is; what is undecided comes last."""
    if answer.harmful is None:
        return -1.0
    return 0.0 if answer.probability is None else abs(answer.probability - 0.5)


def _why_end(found: Round, said: Sequence[Said], added: Sequence[Candidate], targets: Targets) -> str:
    if found.passed:
        return ""
    if all(answer.failed for answer in said):
        return "nothing could be judged"
    if found.number >= targets.max_rounds:
        return f"the rates are still below the targets after {found.number} rounds"
    return "" if added else "no misjudged media is left for which there is room among the examples"


def _worst(found: Round) -> float:
    values = [rate.value for rates in (found.rest, found.everything) for rate in (rates.tpr, rates.tnr)]
    return -1.0 if any(math.isnan(value) for value in values) else min(values)
