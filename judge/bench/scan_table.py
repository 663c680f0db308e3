"""A fitted scan beside the published threshold and beside none, as a table, as JSON, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from pydantic import JsonValue
from rich.table import Table

from judge.bench.scan_fit import ScanFit, ScanMeasure
from judge.config import RelevanceSettings

_NO_SCAN = "no scan"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Scans of the same labelled pictures by name, the fitted one first."""

    fit: ScanFit
    fitted: RelevanceSettings
    scans: Mapping[str, ScanMeasure]
    target: float
    left_out: Mapping[str, str]

    def saved(self, scan: ScanMeasure) -> float:
        """Questions per picture."""
        return self.scans[_NO_SCAN].questions - scan.questions


def compare(fit: ScanFit, fitted: RelevanceSettings, *, target: float, left_out: Mapping[str, str]) -> Comparison:
    """Measures all three.

    Args:
        target: The recall that was asked for.
        left_out: Reasons, by picture, for what could not be used.
    """
    thresholds = {"fitted": fitted.threshold, "published": RelevanceSettings().threshold, _NO_SCAN: -1.0}
    return Comparison(fit, fitted, {name: fit.measure(each) for name, each in thresholds.items()}, target, left_out)


def table(found: Comparison) -> Table:
    """A line per scan; questions are counted per picture."""
    sure = f"{found.fit.confidence:.0%}"
    columns = ("threshold", "kept / violated", "recall", f"at least ({sure})", f"at most ({sure})", "rules dropped")
    made = Table("scan", *columns, "questions", "saved", title=f"{found.fit.pictures} pictures")
    for name, scan in found.scans.items():
        made.add_row(
            name,
            "-" if name == _NO_SCAN else f"{scan.threshold:.4f}",
            f"{scan.kept} / {scan.violated}",
            *(f"{share:.4f}" for share in (scan.recall, scan.recall_low, scan.recall_high)),
            f"{scan.dropped:.1%}",
            f"{scan.questions:.2f}",
            f"{found.saved(scan):.2f}",
        )
    return made


def notes(found: Comparison) -> str:
    """What readers of the table must know."""
    lines = [f"Published: {RelevanceSettings().threshold:g}, for CLIP ViT-B/16; other encoders have other scales."]
    lines.append("The bounds hold as far as the labelled rules are independent draws of what will be judged.")
    if found.fit.always_asked:
        severities = ", ".join(found.fitted.always_ask)
        lines.append(f"Not counted: {found.fit.always_asked} violated rules of severity {severities}, always asked.")
    if found.left_out:
        lines.append(f"Left out: {len(found.left_out)} pictures.")
    return "\n".join(lines)


def in_words(found: Comparison) -> str:
    """The fitted scan in one line."""
    fitted = found.scans["fitted"]
    return (
        f"keeps {fitted.kept} of {fitted.violated} violated rules, at least {fitted.recall_low:.4f} of all "
        f"with {found.fit.confidence:.0%} confidence; drops {fitted.dropped:.1%} of the rules"
    )


def to_json(found: Comparison) -> dict[str, JsonValue]:
    """Plain values."""
    return {
        **found.fitted.model_dump(mode="json"),
        "target": found.target,
        "confidence": found.fit.confidence,
        "pictures": found.fit.pictures,
        "left_out": dict(found.left_out),
        "violated_always_asked": found.fit.always_asked,
        "scans": {
            name: {**asdict(scan), "recall": scan.recall, "questions_saved": found.saved(scan)}
            for name, scan in found.scans.items()
        },
    }
