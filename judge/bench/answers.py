"""Predictions sorted for measuring: which samples count for a detector, and what it said of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from judge.bench.measures import Columns, columns
from judge.bench.records import Predicted
from judge.sources.categories import Category
from judge.sources.sample import Sample

Standing = Literal["measured", "other_category", "no_category"]
"""Whether a sample counts for a detector, and if not, why."""


@dataclass(frozen=True, slots=True)
class Said:
    """What is kept of a prediction under a perturbation."""

    flagged: bool | None
    score: float | None


@dataclass(slots=True)
class Answers:
    """Of one detector, by sample id.

    Attributes:
        plain: About the media as it is.
        perturbed: By perturbation.
    """

    plain: dict[str, Predicted] = field(default_factory=dict)
    perturbed: dict[str, dict[str, Said]] = field(default_factory=dict)


def sorted_answers(rows: Iterable[Predicted], labels: Iterable[str]) -> dict[str, Answers]:
    """By detector; of several rows about the same, the last."""
    found = {label: Answers() for label in labels}
    for row in rows:
        if row.detector not in found:
            continue
        if row.perturbation:
            found[row.detector].perturbed.setdefault(row.perturbation, {})[row.sample] = Said(row.flagged, row.score)
        else:
            found[row.detector].plain[row.sample] = row
    return found


def standing(sample: Sample, made_for: Sequence[Category] | None, *, all_categories: bool) -> Standing:
    """Harmless samples always count; harmful ones where the detector was made for a kind of theirs."""
    if not sample.harmful or made_for is None or all_categories or set(sample.categories) & set(made_for):
        return "measured"
    return "other_category" if sample.categories else "no_category"


def to_columns(samples: Sequence[Sample], said: Mapping[str, Predicted] | Mapping[str, Said]) -> Columns:
    """One row per sample, in order; one that was not asked about counts as not answered."""
    rows = [said.get(each.id) for each in samples]
    return columns(
        [bool(each.harmful) for each in samples],
        [row.flagged if row else None for row in rows],
        [row.score if row else None for row in rows],
        [each.group for each in samples],
    )
