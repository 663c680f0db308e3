"""From runs to the table that people read, the JSON that machines read, and the plot of quality against cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from rich.table import Table

from judge.bench.ablation import PLAIN, Run, columns
from judge.errors import ConfigError
from judge.metrics import (
    Bools,
    Floats,
    Measured,
    accuracy,
    auroc,
    average_precision,
    bootstrap,
    ece,
    f1,
    recall,
    share,
)

MEASURES: Mapping[str, Callable[[Bools, Floats], float]] = {
    "recall": recall,
    "accuracy": accuracy,
    "f1": f1,
    "auroc": auroc,
    "ap": average_precision,
    "ece": ece,
}
_COSTS = {"slow_calls": ".2f", "tokens": ".0f", "written": ".0f", "seconds": ".3f"}
_WORTH = {"f1": "F1 / 1000 w.", "coverage": "decided / 1000 w.", "decided_accuracy": "right / 1000 w."}


@dataclass(frozen=True, slots=True)
class Row:
    """One setting on one split.

    Attributes:
        measures: By name; scores of 0.5 and more count as flagged.
        coverage: Share of verdicts that are not abstentions.
        decided_accuracy: Share of right answers among those; nan without any.
        pairs: Share of groups of more than one whose members are all right; None where there are none.
        gain: Its F1 less that of the first setting of the same split, resampled together.
        costs: Per picture: slow calls, tokens read and written, those written, seconds.
        worth: What 1000 written tokens add to F1, to coverage and to `decided_accuracy`, over the plain chain on the
            same split; empty where that was not run, or nothing more was written.
    """

    setting: str
    split: str
    count: int
    measures: Mapping[str, Measured]
    coverage: Measured
    decided_accuracy: Measured
    pairs: Measured | None
    gain: Measured
    costs: Mapping[str, float]
    worth: Mapping[str, float] = field(default_factory=dict)


def rows(runs: Sequence[Run]) -> list[Row]:
    """One row per run; the first run of a split is what its others are compared with."""
    first: dict[str, Run] = {}
    found = [_row(run, first.setdefault(run.split, run)) for run in runs]
    plain = {row.split: row for row in found if row.setting == PLAIN}
    return [replace(row, worth=_worth(row, plain[row.split])) if row.split in plain else row for row in found]


def _worth(row: Row, plain: Row) -> dict[str, float]:
    thousands = (row.costs["written"] - plain.costs["written"]) / 1000
    if thousands <= 0:
        return {}
    gains = {
        "f1": row.measures["f1"].value - plain.measures["f1"].value,
        "coverage": row.coverage.value - plain.coverage.value,
        "decided_accuracy": row.decided_accuracy.value - plain.decided_accuracy.value,
    }
    return {name: gained / thousands for name, gained in gains.items()}


def _row(run: Run, baseline: Run) -> Row:
    harmful, scores = columns(run.results)
    groups = [result.item.group for result in run.results]
    decided = [result for result in run.results if result.flagged is not None]

    def gain(truth: Bools, ours: Floats, theirs: Floats) -> float:
        return f1(truth, ours) - f1(truth, theirs)

    usages = [result.usage for result in run.results]
    costs = {
        "slow_calls": np.mean([usage.generations for usage in usages]),
        "tokens": np.mean([usage.prompt_tokens + usage.completion_tokens for usage in usages]),
        "written": np.mean([usage.completion_tokens for usage in usages]),
        "seconds": np.mean([result.seconds for result in run.results]),
    }
    return Row(
        setting=run.setting.name,
        split=run.split,
        count=len(run.results),
        measures={name: bootstrap(measure, harmful, scores, groups=groups) for name, measure in MEASURES.items()},
        coverage=share([result.flagged is not None for result in run.results]),
        decided_accuracy=share([result.flagged == result.item.harmful for result in decided]),
        pairs=_pairs(run),
        gain=bootstrap(gain, harmful, scores, columns(baseline.results)[1], groups=groups),
        costs={name: float(value) for name, value in costs.items()},
    )


def _pairs(run: Run) -> Measured | None:
    right: dict[str, list[bool]] = {}
    for result in run.results:
        right.setdefault(result.item.group, []).append((result.score >= 0.5) == result.item.harmful)
    several = [all(members) for members in right.values() if len(members) > 1]
    return share(several) if several else None


def table(split: str, found: Sequence[Row]) -> Table:
    """One split, a line per setting."""
    shown = [row for row in found if row.split == split]
    paired = any(row.pairs for row in shown)
    names = [*MEASURES, "gain in F1", "decided", "right of these", *(["pairs"] if paired else [])]
    count = shown[0].count if shown else 0
    worth = list(_WORTH.values()) if any(row.worth for row in shown) else []
    made = Table("setting", *names, "slow calls", "tokens", "written", "s", *worth, title=f"{split}: {count} pictures")
    for row in shown:
        values = [*row.measures.values(), row.gain, row.coverage, row.decided_accuracy]
        values += [row.pairs] if paired and row.pairs else []
        costs = (f"{row.costs[name]:{form}}" for name, form in _COSTS.items())
        gains = [_signed(row.worth.get(name)) for name in _WORTH] if worth else []
        made.add_row(row.setting, *(_short(value) for value in values), *costs, *gains)
    return made


def _signed(value: float | None) -> str:
    return "-" if value is None or np.isnan(value) else f"{value:+.3f}"


def _short(value: Measured) -> str:
    return f"{value.value:.3f}\n[{value.low:.2f}, {value.high:.2f}]"


def to_json(found: Sequence[Row]) -> list[dict[str, object]]:
    """Plain values: an interval is `[value, low, high]`."""
    return [
        {
            "setting": row.setting,
            "split": row.split,
            "count": row.count,
            **{name: _plain(value) for name, value in row.measures.items()},
            "gain_in_f1": _plain(row.gain),
            "coverage": _plain(row.coverage),
            "decided_accuracy": _plain(row.decided_accuracy),
            "pairs": _plain(row.pairs) if row.pairs else None,
            **row.costs,
            "per_1000_written": {name: None if np.isnan(gain) else round(gain, 4) for name, gain in row.worth.items()},
        }
        for row in found
    ]


def _plain(value: Measured) -> list[float | None]:
    return [None if np.isnan(number) else round(number, 4) for number in (value.value, value.low, value.high)]


def plot(found: Sequence[Row], path: Path) -> None:
    """F1 with its interval against tokens per picture, a panel per split; the suffix chooses the format.

    Raises:
        ConfigError: matplotlib is missing, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as error:
        raise ConfigError("the plot needs matplotlib", hint="pip install 'visual-judge[plot]'") from error
    splits = list(dict.fromkeys(row.split for row in found))
    figure = Figure(figsize=(6.5 * len(splits), 5.5), layout="constrained")
    for axes, split in zip(figure.subplots(1, len(splits), squeeze=False)[0], splits, strict=True):
        for row in (row for row in found if row.split == split):
            value = row.measures["f1"]
            bars = [[value.value - value.low], [value.high - value.value]]
            axes.errorbar(row.costs["tokens"], value.value, yerr=np.abs(bars), fmt="o", capsize=3, label=row.setting)
        axes.set(title=split, xlabel="tokens read and written per picture", ylabel="F1", xscale="log")
        axes.grid(alpha=0.3)
    figure.axes[-1].legend(fontsize=7, loc="lower left", bbox_to_anchor=(1.01, 0.0))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"plot '{path}' cannot be written: {error}") from error
