"""From samples and predictions to what a benchmark found. Nothing is asked and nothing is read here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from judge.bench.agreement import compared, fleiss_kappa, majority, mcnemar
from judge.bench.answers import Answers, sorted_answers, standing, to_columns
from judge.bench.by_frame import by_frame
from judge.bench.curves import pr_curve, reliability, roc_curve
from judge.bench.measures import ROUNDS, Columns, everything, measure
from judge.bench.perturbations import PERTURBATIONS
from judge.bench.records import DetectorRecord, Predicted, RunRecord
from judge.bench.references import PUBLISHED
from judge.bench.references import SOURCE as PUBLISHED_SOURCE
from judge.bench.results import (
    BenchResult,
    Cost,
    Curves,
    DetectorResult,
    Interval,
    Majority,
    Mistake,
    Pair,
    Robustness,
    Slice,
    Tally,
)
from judge.bench.robustness import group_flips, robustness
from judge.metrics import Bools
from judge.sources.sample import Sample

_MOST_VALUES = 12
"""An attribute with more values splits nothing into parts worth measuring."""
_MOST_MISTAKES = 6
"""Of each kind."""
_MOST_REASONS = 8


@dataclass(frozen=True, slots=True)
class Options:
    """How results are computed.

    Attributes:
        all_categories: Every harmful sample counts for every detector, as in papers that compare detectors of some
            kinds of harm on all kinds.
        published: Dataset card whose published figures are shown; None = the card of the data set, where it has some.
    """

    all_categories: bool = False
    rounds: int = ROUNDS
    seed: int = 0
    published: str | None = None


def evaluate(
    run: RunRecord, samples: Sequence[Sample], rows: Iterable[Predicted], labels: Sequence[str], options: Options
) -> BenchResult:
    """Everything about the detectors with these labels."""
    labelled = [each for each in samples if each.harmful is not None]
    answers = sorted_answers(rows, labels)
    judged = {label: _Judged(label, run.detectors[label], answers[label], labelled, options) for label in labels}
    card = run.card if options.published is None else options.published
    return BenchResult(
        source=run.source,
        card=run.card,
        card_digest=run.card_digest,
        samples=len(labelled),
        harmful=sum(bool(each.harmful) for each in labelled),
        unlabelled=len(samples) - len(labelled),
        doubtful=sum(bool(each.problem) for each in labelled),
        all_categories=options.all_categories,
        rounds=options.rounds,
        seed=options.seed,
        detectors=tuple(each.result() for each in judged.values()),
        pairs=tuple(_pair(one, other, options) for one, other in combinations(judged.values(), 2)),
        majority=_majority(list(judged.values()), options) if len(judged) > 1 else None,
        published=PUBLISHED.get(card, ()),
        published_source=PUBLISHED_SOURCE if card in PUBLISHED else "",
        notes=tuple(_notes(run, labelled, judged.values(), card)),
    )


class _Judged:
    """One detector beside the samples that count for it."""

    def __init__(
        self, label: str, record: DetectorRecord, answers: Answers, samples: Sequence[Sample], options: Options
    ) -> None:
        self.label, self.record, self.answers, self.options = label, record, answers, options
        standings = [standing(each, record.categories, all_categories=options.all_categories) for each in samples]
        self.left_out = Counter(standings)
        counting = [each for each, place in zip(samples, standings, strict=True) if place == "measured"]
        self.samples = [each for each in counting if each.id in answers.plain]
        self.missing = len(counting) - len(self.samples)
        self.columns = to_columns(self.samples, answers.plain)

    def result(self) -> DetectorResult:
        return DetectorResult(
            label=self.label,
            detector=self.record,
            tally=self._tally(),
            overall=_slice("all", self.columns, self.options),
            categories=tuple(self._categories()),
            origins=tuple(self._values([each.origin for each in self.samples])),
            attributes=dict(self._attributes()),
            frames=by_frame(self.samples, self.answers.plain, rounds=self.options.rounds, seed=self.options.seed),
            groups=group_flips(self.samples, self.answers.plain),
            cost=_cost([self.answers.plain[each.id] for each in self.samples]),
            robustness=tuple(self._robustness()),
            curves=Curves(
                roc=roc_curve(self.columns), pr=pr_curve(self.columns), reliability=reliability(self.columns)
            ),
            mistakes=tuple(self._mistakes()),
        )

    def on(self, ids: Mapping[str, Sample]) -> Columns:
        """The columns of some samples, in the order of `ids`."""
        return to_columns(list(ids.values()), self.answers.plain)

    def _tally(self) -> Tally:
        silent = [row for each in self.samples if (row := self.answers.plain[each.id]).flagged is None]
        return Tally(
            measured=len(self.samples),
            errors=sum(row.failed for row in silent),
            abstentions=sum(not row.failed for row in silent),
            reasons=dict(Counter(row.reason for row in silent).most_common(_MOST_REASONS)),
            other_category=self.left_out["other_category"],
            no_category=self.left_out["no_category"],
            missing=self.missing,
        )

    def _categories(self) -> Iterator[Slice]:
        """Kinds of harm that the detector was made for, each beside all harmless samples."""
        made_for = self.record.categories
        there = {kind for each in self.samples if each.harmful for kind in each.categories}
        for kind in sorted(there if made_for is None else there & set(made_for)):
            rows = np.array([not each.harmful or kind in each.categories for each in self.samples])
            yield _slice(kind, self.columns.only(rows), self.options)

    def _attributes(self) -> Iterator[tuple[str, tuple[Slice, ...]]]:
        for name in sorted({name for each in self.samples for name in each.attributes}):
            values = [each.attributes.get(name, "") for each in self.samples]
            if len(set(values) - {""}) <= _MOST_VALUES and (slices := tuple(self._values(values))):
                yield name, slices

    def _values(self, values: Sequence[str]) -> Iterator[Slice]:
        """A part for each value, where there are several."""
        names = sorted(set(values) - {""})
        for name in names if len(names) > 1 else ():
            yield _slice(name, self.columns.only(np.array(values) == name), self.options)

    def _robustness(self) -> Iterator[Robustness]:
        for name, perturbation in PERTURBATIONS.items():
            if said := self.answers.perturbed.get(name):
                yield robustness(
                    self.samples, self.answers.plain, said, perturbation,
                    rounds=self.options.rounds, seed=self.options.seed,
                )  # fmt: skip

    def _mistakes(self) -> Iterator[Mistake]:
        """The misses and the false alarms that were most certain."""
        for harmful in (True, False):
            wrong = [
                (abs((row.score if row.score is not None else 0.5) - self.record.threshold), each, row)
                for each in self.samples
                if each.harmful == harmful
                and (row := self.answers.plain[each.id]).flagged is not None
                and row.flagged != harmful
            ]
            for _, each, row in sorted(wrong, key=lambda found: -found[0])[:_MOST_MISTAKES]:
                yield Mistake(sample=each.id, harmful=harmful, score=row.score, labels=each.labels or each.categories)


def _slice(name: str, found: Columns, options: Options) -> Slice:
    wrong = answered = measure(everything, found, rounds=options.rounds, seed=options.seed)
    if not found.is_whole:
        wrong = measure(everything, found.as_wrong(), rounds=options.rounds, seed=options.seed)
    return Slice(
        name=name,
        n=len(found),
        n_harmful=int(found.harmful.sum()),
        answered={key: Interval.of(each) for key, each in answered.items()},
        as_wrong={key: Interval.of(each) for key, each in wrong.items() if key != "coverage"},
    )


def _cost(rows: Sequence[Predicted]) -> Cost:
    asked = [row for row in rows if not row.failed]
    seconds = [row.model_s for row in asked if row.model_s > 0]
    paid = [row.cost_usd for row in asked if row.cost_usd is not None]

    def mean(values: Sequence[float]) -> float:
        return round(float(np.mean(values)), 6) if values else 0.0

    return Cost(
        mean_s=mean(seconds) if seconds else None,
        median_s=round(float(np.median(seconds)), 6) if seconds else None,
        p95_s=round(float(np.percentile(seconds, 95)), 6) if seconds else None,
        questions=mean([row.usage.questions for row in asked]),
        generations=mean([row.usage.generations for row in asked]),
        prompt_tokens=mean([row.usage.prompt_tokens for row in asked]),
        completion_tokens=mean([row.usage.completion_tokens for row in asked]),
        usd_per_1000=round(1000 * float(np.mean(paid)), 6) if paid else None,
    )


def _common(judged: Sequence[_Judged]) -> dict[str, Sample]:
    """Samples that count for all, and that all were asked about."""
    ids = set.intersection(*({each.id for each in one.samples} for one in judged))
    return {each.id: each for each in judged[0].samples if each.id in ids}


def _pair(one: _Judged, other: _Judged, options: Options) -> Pair:
    common = _common((one, other))
    first, second = one.on(common), other.on(common)
    both = first.answered & second.answered
    answered = mcnemar(_right(first)[both], _right(second)[both])
    found = compared(first, second, rounds=options.rounds, seed=options.seed)
    return Pair(
        first=one.label,
        second=other.label,
        n=len(first),
        n_answered=int(both.sum()),
        only_first_right=answered.only_first,
        only_second_right=answered.only_second,
        p=answered.p,
        p_as_wrong=mcnemar(_right(first), _right(second)).p,
        measures={name: Interval.of(each) for name, each in found.items()},
    )


def _right(found: Columns) -> Bools:
    right: Bools = found.answered & (found.flagged == found.harmful)
    return right


def _majority(judged: Sequence[_Judged], options: Options) -> Majority:
    common = _common(judged)
    each_on = [each.on(common) for each in judged]
    all_answered = np.logical_and.reduce([each.answered for each in each_on])
    flags = np.array([each.flagged[all_answered] for each in each_on]).T
    kappa = fleiss_kappa(flags)
    return Majority(
        judges=tuple(each.label for each in judged),
        together=_slice("majority", majority(each_on), options),
        alone=tuple(_slice(each.label, found, options) for each, found in zip(judged, each_on, strict=True)),
        fleiss_kappa=None if np.isnan(kappa) else round(kappa, 6),
        n_all_answered=int(all_answered.sum()),
    )


def _notes(run: RunRecord, samples: Sequence[Sample], judged: Iterable[_Judged], card: str) -> Iterator[str]:
    if len({each.harmful for each in samples}) == 1:
        kind = "harmful" if samples[0].harmful else "harmless"
        yield f"every sample is {kind}: what needs both kinds does not exist"
    for each in judged:
        if each.left_out.total() > each.left_out["measured"] and not any(sample.harmful for sample in each.samples):
            yield (
                f"no harmful sample counts for '{each.label}': the data set does not say, in common names, that any "
                "shows a kind of harm it was made for; --all-categories counts them all"
            )
        if each.missing:
            yield f"{each.missing} samples that count for '{each.label}' have not been asked about yet"
    if card in PUBLISHED and card != run.card:
        yield f"the published figures are about {card}, which is not what was measured here"
