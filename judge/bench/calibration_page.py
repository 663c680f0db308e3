"""Fitted thresholds as one HTML page: what was tested, promised and measured, and how reliable scores are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from markupsafe import Markup

from judge import __version__
from judge.bench.calibration import Applied
from judge.calibrate import Candidate, StageFit
from judge.config import Calibrated
from judge.guarantee import promise_in_words
from judge.report.bench_plots import Curve, curves, letter
from judge.report.html import page_environment

_MOST_LEFT_OUT = 50


def render_calibration(
    fitted: Calibrated, fits: Sequence[StageFit], measured: Sequence[Applied], left_out: Mapping[str, str]
) -> str:
    """The whole page, without scripts and external resources; everything shown is escaped.

    Raises:
        ConfigError: matplotlib is missing.
    """
    return (
        page_environment()
        .get_template("calibration.html.jinja")
        .render(
            fitted=fitted,
            promise=promise_in_words(fitted),
            tests=list(_tests(fitted, fits)),
            measured=measured,
            drawn=_drawn,
            rows=_rows,
            left_out=list(islice(left_out.items(), _MOST_LEFT_OUT)),
            more=max(0, len(left_out) - _MOST_LEFT_OUT),
            version=__version__,
        )
    )


def _tests(fitted: Calibrated, fits: Sequence[StageFit]) -> Iterator[tuple[str, str, Candidate, bool]]:
    for stage, fit in zip(fitted.stages, fits, strict=True):
        for name, side in (("unsafe", fit.unsafe), ("safe", fit.safe)):
            for each in side.tested:
                yield stage.stage, name, each, each == side.chosen


def _drawn(number: int, measured: Applied) -> Markup:
    found = [Curve(place, [row[:2] for row in rows]) for place, rows in enumerate(_curves(measured)) if rows]
    return curves(f"reliability-{number}", found, x="mean score", y="share harmful", diagonal=True, markers=True)


def _rows(measured: Applied) -> list[tuple[str, tuple[float, float, int]]]:
    return [(letter(place), row) for place, rows in enumerate(_curves(measured)) for row in rows]


def _curves(measured: Applied) -> tuple[tuple[tuple[float, float, int], ...], ...]:
    return measured.reliability_before, measured.reliability_after
