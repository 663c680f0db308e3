"""What perturbations do to answers, and whether answers differ within groups that should be judged alike. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from judge.bench.answers import Said, to_columns
from judge.bench.measures import Columns, decisions, measure_together
from judge.bench.perturbations import Perturbation
from judge.bench.records import Predicted
from judge.bench.results import GroupFlips, Interval, Robustness
from judge.metrics import Floats, proportion
from judge.sources.sample import Sample


def robustness(
    samples: Sequence[Sample],
    plain: Mapping[str, Predicted],
    perturbed: Mapping[str, Said],
    perturbation: Perturbation,
    *,
    rounds: int,
    seed: int,
) -> Robustness:
    """One perturbation, on the samples that were asked about with and without it."""
    asked = [each for each in samples if each.id in perturbed and each.id in plain]
    before, after = to_columns(asked, plain), to_columns(asked, perturbed)
    both = before.answered & after.answered
    found = measure_together(_family, (before.only(both), after.only(both)), rounds=rounds, seed=seed)
    return Robustness(
        perturbation=perturbation.name,
        explanation=perturbation.explanation,
        n=len(asked),
        n_answered=int(both.sum()),
        lost=int((before.answered & ~after.answered).sum()),
        measures={name: Interval.of(each) for name, each in found.items()},
    )


def _family(parts: Sequence[Columns], weights: Floats) -> Mapping[str, Floats]:
    before, after = parts
    total = np.maximum(weights.sum(axis=1), 1e-9)
    cleared = weights @ (before.flagged & ~after.flagged).astype(np.float64) / total
    flagged = weights @ (~before.flagged & after.flagged).astype(np.float64) / total
    if not len(before):
        cleared = flagged = np.full(len(weights), np.nan)
    old, new = decisions(before, weights), decisions(after, weights)
    return {
        "flip_rate": cleared + flagged,
        "to_harmless": cleared,
        "to_harmful": flagged,
        "f1": new["f1"],
        "f1_before": old["f1"],
        "f1_change": new["f1"] - old["f1"],
        "average": new["average"],
    }


def group_flips(samples: Sequence[Sample], plain: Mapping[str, Predicted]) -> GroupFlips | None:
    """Over groups of which at least two members were answered; None where there is no such group."""
    members: dict[str, list[tuple[bool, Predicted]]] = {}
    for sample in samples:
        row = plain.get(sample.id)
        if sample.group and row is not None and row.flagged is not None:
            members.setdefault(sample.group, []).append((bool(sample.harmful), row))
    groups = [each for each in members.values() if len(each) > 1]
    if not groups:
        return None
    alike = [each for each in groups if len({harmful for harmful, _ in each}) == 1]
    mixed = [each for each in groups if len({harmful for harmful, _ in each}) == 2]
    flipped = sum(len({row.flagged for _, row in each}) == 2 for each in alike)
    right = sum(all(harmful == row.flagged for harmful, row in each) for each in mixed)
    scores = [[row.score for _, row in each if row.score is not None] for each in alike]
    spreads = [max(each) - min(each) for each in scores if len(each) > 1]
    return GroupFlips(
        same_label=len(alike),
        flipped=flipped,
        flip_rate=Interval.of(proportion(flipped, len(alike))),
        mean_spread=round(float(np.mean(spreads)), 6) if spreads else None,
        mixed_label=len(mixed),
        all_right=right,
        all_right_rate=Interval.of(proportion(right, len(mixed))),
    )
