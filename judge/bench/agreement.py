"""How far detectors agree: McNemar's test, Cohen's and Fleiss' kappa, and what their majority says. Pure.

People are one more judge: a detector's kappa against the labels is among its measures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from judge.bench.measures import Columns, decisions, measure_together
from judge.metrics import Bools, Floats, Measured


@dataclass(frozen=True, slots=True)
class McNemar:
    """Samples that only one of two got right. `p`: exact, two-sided, that such a difference is chance; rows that belong
    together make it too small.
    """

    only_first: int
    only_second: int
    p: float


def mcnemar(first_right: Bools, second_right: Bools) -> McNemar:
    """Of answers about the same samples, in the same order."""
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    return McNemar(only_first, only_second, _two_sided(only_first, only_second))


def _two_sided(heads: int, tails: int) -> float:
    """Twice the probability of a fair coin to show at most the fewer of the two."""
    count, fewer = heads + tails, min(heads, tails)
    ways = below = 1
    for place in range(fewer):
        ways = ways * (count - place) // (place + 1)
        below += ways
    return min(1.0, float(Fraction(2 * below, 2**count)))  # counts of any size


def compared(first: Columns, second: Columns, *, rounds: int, seed: int) -> dict[str, Measured]:
    """Of two about the same samples: `kappa` and `agreement` where both answered, and by how much the first is better
    in `average` and `f1`, each over what it answered itself, resampled together.
    """

    def family(parts: Sequence[Columns], weights: Floats) -> Mapping[str, Floats]:
        one, other = parts
        between = Columns(one.flagged, one.answered & other.answered, other.flagged, one.score, one.group)
        with_each = decisions(between, weights)
        ours, theirs = decisions(one, weights), decisions(other, weights)
        return {
            "kappa": with_each["kappa"],
            "agreement": with_each["accuracy"],
            "average_gain": ours["average"] - theirs["average"],
            "f1_gain": ours["f1"] - theirs["f1"],
        }

    return measure_together(family, (first, second), rounds=rounds, seed=seed)


def fleiss_kappa(flags: NDArray[np.bool_]) -> float:
    """Agreement of all judges beyond chance; flags are `(samples, judges)`; nan for none, one judge or one class."""
    count, judges = flags.shape
    if not count or judges < 2:
        return float("nan")
    yes = flags.sum(axis=1)
    same = (yes * (yes - 1) + (judges - yes) * (judges - yes - 1)) / (judges * (judges - 1))
    share = float(yes.sum()) / (count * judges)
    chance = share**2 + (1 - share) ** 2
    return float((same.mean() - chance) / (1 - chance)) if chance < 1 else float("nan")


def majority(judges: Sequence[Columns]) -> Columns:
    """More than half of those who answered decide; half and half is no answer. The score is their mean score."""
    answered = np.array([each.answered for each in judges])
    flagged = np.array([each.flagged for each in judges]) & answered
    yes, votes = flagged.sum(axis=0), answered.sum(axis=0)
    scores = np.array([each.score for each in judges])
    has = ~np.isnan(scores)
    total, count = np.where(has, scores, 0.0).sum(axis=0), has.sum(axis=0)
    first = judges[0]
    return Columns(
        harmful=first.harmful,
        answered=(2 * yes != votes) & (votes > 0),
        flagged=2 * yes > votes,
        score=np.divide(total, count, out=np.full(len(first), np.nan), where=count > 0),
        group=first.group,
    )
