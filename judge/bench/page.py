"""A benchmark's result as one HTML page without scripts and without external resources. Everything shown is escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from markupsafe import Markup

from judge import __version__
from judge.bench.perturbations import PERTURBATIONS
from judge.bench.results import BenchResult, DetectorResult, FrameResult, Interval, Pair, Robustness, Slice
from judge.report.bench_plots import SERIES, Curve, Dot, against_cost, bars, curves, letter
from judge.report.html import page_environment
from judge.report.plain import brief

NAMES = (
    ("tpr", "recall (TPR)"), ("tnr", "TNR"), ("average", "average"), ("accuracy", "accuracy"),
    ("precision", "precision"), ("f1", "F1"), ("f2", "F2"), ("kappa", "kappa"), ("auroc", "AUROC"), ("ap", "AP"),
    ("tpr_at_1_fpr", "TPR at 1 % FPR"), ("ece", "ECE"), ("coverage", "coverage"), ("selective_risk", "selective risk"),
)  # fmt: skip
"""Measures of the tables, and how they are called. `average` is balanced accuracy."""
_SLICE_NAMES = (
    ("tpr", "recall (TPR)"), ("fpr", "FPR"), ("average", "average"), ("precision", "precision"), ("f1", "F1"),
    ("auroc", "AUROC"), ("ap", "AP"), ("coverage", "coverage"),
)  # fmt: skip
FRAME_NAMES = (("frame_ap", "AP by frame"), ("frame_auroc", "AUROC by frame"))
_RATES = (0.01, 0.05, 0.1, 0.2, 0.5)
_RECALLS = (0.5, 0.8, 0.9, 0.95, 1.0)
_LONGEST_LABEL = 60

Row = TypeVar("Row", Slice, Robustness)


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """How a detector is shown: a letter on a colour, beside its label."""

    place: int
    label: str

    @property
    def letter(self) -> str:
        return letter(self.place)

    @property
    def colour(self) -> int:
        return self.place % SERIES


def render_bench(result: BenchResult, thumbnails: Mapping[str, str]) -> str:
    """The whole page. `thumbnails`: data URLs by the ids of samples, as far as they could be made.

    Raises:
        ConfigError: matplotlib is missing.
    """
    page = _Page(result, thumbnails)
    return page_environment().get_template("bench.html.jinja").render(result=result, page=page, version=__version__)


@dataclass(slots=True)
class _Page:
    """What the template shows."""

    result: BenchResult
    thumbnails: Mapping[str, str]
    names: Sequence[tuple[str, str]] = NAMES
    wrong_names: Sequence[tuple[str, str]] = tuple(each for each in NAMES if each[0] != "coverage")
    slice_names: Sequence[tuple[str, str]] = _SLICE_NAMES
    frame_names: Sequence[tuple[str, str]] = FRAME_NAMES
    keys: Mapping[str, SeriesKey] = field(init=False)

    def __post_init__(self) -> None:
        labels = [each.label for each in self.result.detectors]
        self.keys = {label: SeriesKey(place, brief(label, _LONGEST_LABEL)) for place, label in enumerate(labels)}

    @property
    def pairs(self) -> list[tuple[SeriesKey, DetectorResult]]:
        return [(self.keys[each.label], each) for each in self.result.detectors]

    @property
    def by_kappa(self) -> list[tuple[SeriesKey, DetectorResult]]:
        """The best first."""

        def kappa(found: DetectorResult) -> float:
            value = found.overall.answered["kappa"].value
            return -2.0 if value is None else value

        return sorted(self.pairs, key=lambda pair: -kappa(pair[1]))

    @property
    def scored(self) -> bool:
        return any(each.curves.reliability for each in self.result.detectors)

    @property
    def duels(self) -> list[tuple[SeriesKey, SeriesKey, Pair]]:
        return [(self.keys[each.first], self.keys[each.second], each) for each in self.result.pairs]

    @property
    def alone(self) -> list[tuple[SeriesKey, Slice]]:
        majority = self.result.majority
        return [(self.keys[each.name], each) for each in majority.alone] if majority else []

    @property
    def framed(self) -> list[tuple[SeriesKey, FrameResult]]:
        return [(key, each.frames) for key, each in self.pairs if each.frames is not None]

    @property
    def grouped(self) -> bool:
        return any(each.groups for each in self.result.detectors)

    @property
    def attributes(self) -> list[str]:
        return sorted({name for each in self.result.detectors for name in each.attributes})

    def slices(self, attribute: str) -> list[tuple[str, list[tuple[SeriesKey, Slice]]]]:
        """Parts of the set, each with its detectors. `categories`, `origins`, or an attribute of the set."""
        found: dict[str, list[tuple[SeriesKey, Slice]]] = {}
        for key, each in self.pairs:
            parts = {"categories": each.categories, "origins": each.origins}.get(attribute)
            for part in each.attributes.get(attribute, ()) if parts is None else parts:
                found.setdefault(part.name, []).append((key, part))
        return sorted(found.items())

    @property
    def robust(self) -> list[tuple[str, list[tuple[SeriesKey, Robustness]]]]:
        found: dict[str, list[tuple[SeriesKey, Robustness]]] = {name: [] for name in PERTURBATIONS}
        for key, each in self.pairs:
            for row in each.robustness:
                found[row.perturbation].append((key, row))
        return [(name, rows) for name, rows in found.items() if rows]

    def words(self, what: str, measure: str, name: str) -> str:
        """A drawing of curves in words."""
        said = [
            f"{key.letter} {name} {value:.3f}"
            for key, each in self.pairs
            if (value := each.overall.answered[measure].value) is not None
        ]
        return f"{what}: {', '.join(said) or 'nothing to show'}"

    @property
    def roc(self) -> Markup | str:
        found = self._curves(lambda each: each.curves.roc)
        marks = [
            (each.method, 1 - each.tnr, each.tpr)
            for each in self.result.published
            if each.tpr is not None and each.tnr is not None
        ]
        if not found:
            return ""
        return curves("roc", found, x="false-positive rate", y="true-positive rate", diagonal=True, points=marks)

    @property
    def pr(self) -> Markup | str:
        found = self._curves(lambda each: each.curves.pr)
        return curves("pr", found, x="recall", y="precision") if found else ""

    @property
    def reliability(self) -> Markup | str:
        found = self._curves(lambda each: [(x, y) for x, y, _ in each.curves.reliability])
        if not found:
            return ""
        return curves("reliability", found, x="mean score", y="share of harmful samples", diagonal=True, markers=True)

    @property
    def kinds(self) -> Markup | str:
        return self._bars("kinds", self.slices("categories"), lambda part: part.answered["tpr"], "recall (TPR)")

    @property
    def flips(self) -> Markup | str:
        return self._bars("flips", self.robust, lambda row: row.measures["flip_rate"], "flip rate")

    @property
    def cost_average(self) -> Markup | str:
        lines = [(each.method, each.average) for each in self.result.published]
        return self._against_cost("cost-average", "average", "average of TPR and TNR", lines)

    @property
    def cost_kappa(self) -> Markup | str:
        return self._against_cost("cost-kappa", "kappa", "Cohen's kappa", ())

    @property
    def roc_rows(self) -> list[tuple[SeriesKey, list[str]]]:
        return [
            (key, [_shown(max(y for x, y in each.curves.roc if x <= rate)) for rate in _RATES])
            for key, each in self.pairs
            if each.curves.roc
        ]

    @property
    def pr_rows(self) -> list[tuple[SeriesKey, list[str]]]:
        return [
            (key, [_shown(max(y for x, y in each.curves.pr if x >= recall)) for recall in _RECALLS])
            for key, each in self.pairs
            if each.curves.pr
        ]

    @property
    def most_bins(self) -> int:
        return max((len(each.curves.reliability) for each in self.result.detectors), default=0)

    @property
    def reliability_rows(self) -> list[tuple[SeriesKey, list[str]]]:
        return [
            (key, [f"{score:.2f}: {share:.2f} ({count})" for score, share, count in each.curves.reliability])
            for key, each in self.pairs
        ]

    def _curves(self, read: Callable[[DetectorResult], Sequence[tuple[float, float]]]) -> list[Curve]:
        return [Curve(key.place, points) for key, each in self.pairs if (points := read(each))]

    def _bars(
        self,
        name: str,
        rows: Sequence[tuple[str, Sequence[tuple[SeriesKey, Row]]]],
        read: Callable[[Row], Interval],
        x: str,
    ) -> Markup | str:
        found = [[_dot(key, None, read(row)) for key, row in group] for _, group in rows]
        if not any(dot for dots in found for dot in dots):
            return ""
        return bars(name, [name for name, _ in rows], found, x=x)

    def _against_cost(self, name: str, measure: str, y: str, lines: Sequence[tuple[str, float]]) -> Markup | str:
        """In dollars where every detector's are known, else in seconds; nothing where neither is."""
        costs = [each.cost.usd_per_1000 for each in self.result.detectors]
        x, unit = costs, "US dollars for 1,000 samples"
        if not all(costs):
            x, unit = [each.cost.mean_s for each in self.result.detectors], "seconds per sample"
        dots = [
            dot
            for (key, each), cost in zip(self.pairs, x, strict=True)
            if cost and (dot := _dot(key, cost, each.overall.answered[measure]))
        ]
        return against_cost(name, dots, x=unit, y=y, lines=lines) if dots else ""


def _dot(key: SeriesKey, x: float | None, y: Interval) -> Dot | None:
    if y.value is None:
        return None
    low = y.low if y.low is not None else y.value
    high = y.high if y.high is not None else y.value
    return Dot(key.place, y.value if x is None else x, y.value, low, high)


def _shown(value: float) -> str:
    return f"{value:.3f}"
