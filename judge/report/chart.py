"""A video's timelines as coordinates of one drawing: time from left to right, one row per rule. No markup here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from judge.report.moments import clock, span
from judge.types import RuleOutcome, Segment, Timeline, Verdict

WIDTH_PX = 960
_LEFT_PX, _RIGHT_PX = 36, 16
_LABEL_PX, _PLOT_PX, _GAP_PX = 18, 34, 10
ROW_PX = _LABEL_PX + _PLOT_PX + _GAP_PX
_AXIS_PX = 38
_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600)
_MOST_TICKS = 10


@dataclass(frozen=True, slots=True)
class Bar:
    """A segment."""

    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """One rule. `top` and `bottom` are the heights of probability 1 and 0; paths are SVG path data."""

    rule_id: str
    label: str
    top: float
    bottom: float
    smoothed: str
    dots: tuple[tuple[RuleOutcome, str], ...]
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """All rows, and the ticks of the time axis as (x, label)."""

    height: float
    left: float
    right: float
    rows: tuple[Row, ...]
    ticks: tuple[tuple[float, str], ...]


def chart(verdict: Verdict) -> Chart:
    """Rules with segments first, by their begin, also those found by a question on a clip alone; then the others."""
    timelines = {timeline.rule_id: timeline for timeline in verdict.timelines}
    ids = list(dict.fromkeys([*(segment.rule_id for segment in verdict.segments), *timelines]))
    end_ms = max([verdict.duration_ms or 0, 1, *_times(verdict)])
    rows = tuple(
        _row(id, timelines.get(id), [each for each in verdict.segments if each.rule_id == id], number, end_ms)
        for number, id in enumerate(ids)
    )
    return Chart(len(rows) * ROW_PX + _AXIS_PX, _LEFT_PX, WIDTH_PX - _RIGHT_PX, rows, _ticks(end_ms))


def _times(verdict: Verdict) -> Iterable[int]:
    for timeline in verdict.timelines:
        yield from timeline.timestamps_ms[-1:]
    for segment in verdict.segments:
        yield segment.end_ms


def _row(id: str, timeline: Timeline | None, segments: list[Segment], number: int, end_ms: int) -> Row:
    top = number * ROW_PX + _LABEL_PX
    bars = tuple(_bar(segment, end_ms) for segment in segments)
    if timeline is None or not timeline.scores:
        label = "no readings on single frames"
        return Row(id, label, top, top + _PLOT_PX, "", (), bars)
    peak = max(range(len(timeline.scores)), key=timeline.scores.__getitem__)
    label = f"highest {timeline.scores[peak]:.2f} at {clock(timeline.timestamps_ms[peak])}"
    smoothed = "M" + "L".join(_points(timeline.timestamps_ms, timeline.smoothed, top, end_ms))
    return Row(id, label, top, top + _PLOT_PX, smoothed, _dots(timeline, top, end_ms), bars)


def _dots(timeline: Timeline, top: float, end_ms: int) -> tuple[tuple[RuleOutcome, str], ...]:
    """One path for all dots of an outcome, each a line of no length with round ends: 500 circles would weigh more."""
    points = _points(timeline.timestamps_ms, timeline.scores, top, end_ms)
    kinds: tuple[RuleOutcome, ...] = ("not_violated", "abstained", "violated")  # the last is painted on top
    drawn = (
        (kind, "".join(f"M{p}h0" for p, o in zip(points, timeline.outcomes, strict=True) if o == kind))
        for kind in kinds
    )
    return tuple((kind, path) for kind, path in drawn if path)


def _bar(segment: Segment, end_ms: int) -> Bar:
    left, right = _x(segment.start_ms, end_ms), _x(segment.end_ms, end_ms)
    when = f"{span(segment.start_ms, segment.end_ms)} {segment.rule_id}"
    return Bar(round(left, 1), round(max(right - left, 2.0), 1), f"{when}, peak {segment.peak_probability:.2f}")


def _points(times_ms: Iterable[int], values: Iterable[float], top: float, end_ms: int) -> list[str]:
    return [
        f"{_x(time, end_ms):.1f} {top + (1.0 - value) * _PLOT_PX:.1f}"
        for time, value in zip(times_ms, values, strict=True)
    ]


def _x(time_ms: float, end_ms: int) -> float:
    return _LEFT_PX + time_ms / end_ms * (WIDTH_PX - _LEFT_PX - _RIGHT_PX)


def _ticks(end_ms: int) -> tuple[tuple[float, str], ...]:
    step_s = next((step for step in _STEPS_S if end_ms <= step * 1000 * _MOST_TICKS), end_ms / 1000 / _MOST_TICKS)
    count = int(end_ms / 1000 / step_s)
    digits = 1 if step_s < 1 else 0
    return tuple(
        (round(_x(number * step_s * 1000, end_ms), 1), f"{number * step_s:.{digits}f} s") for number in range(count + 1)
    )
