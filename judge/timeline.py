"""From a rule's readings along a video to the moments in which it is violated. Pure.

Smoothing decides *whether* a run of violated frames is a moment; the frames' own outcomes decide *where* it begins and
ends. Were the smoothed score to decide that too, every moment would lose up to half of the window at either end, and
sampling finely around its ends would be of no use.

An abstained frame weighs nothing in the average, makes no run and breaks none: frames on either side of it count
together. But what it shows is not claimed: a moment ends halfway to it, and another begins halfway after it, unless the
gap between them is short enough to be merged (`merge_gap_s`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from judge.config import TimelineSettings
from judge.odds import logit, sigmoid
from judge.types import RuleDecision, RuleOutcome, Segment, Timeline

_ROUNDING = 1e-9
"""Averages of equal numbers differ from them by less."""

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def timelines(
    decisions: Mapping[str, Sequence[RuleDecision]], timestamps_ms: Sequence[int], settings: TimelineSettings
) -> tuple[Timeline, ...]:
    """One timeline per rule, in the order given.

    Args:
        decisions: By rule id: the rule on every judged frame.
        timestamps_ms: Of these frames, ascending.
        settings: Of them, `smoothing_s` counts here.
    """
    return tuple(_timeline(rule_id, along, timestamps_ms, settings) for rule_id, along in decisions.items())


def segments(
    timeline: Timeline, settings: TimelineSettings, threshold: float, duration_ms: int, category: str
) -> tuple[Segment, ...]:
    """The moments in which the rule is violated, in order.

    A run is what is violated between two frames that are not. It is a moment if one of its frames is strong; or if it
    has `min_frames` (all there are, if fewer were judged) and one of them is borne out by the frames around it: the
    smoothed score reaches `threshold`, or more than half of the time judged in the window is violated. The latter
    because a rule's score is a product over preconditions: where each is clearly satisfied, it may still be low.

    Args:
        timeline: Of one rule.
        settings: As for `timelines`.
        threshold: Smoothed scores from here on count as violated.
        duration_ms: Of the video; the last timestamp, if that is later.
        category: Of the rule.
    """
    borne_out = _borne_out(timeline, settings, threshold)
    standing = [run for run in _runs(timeline.outcomes) if _stands(run, timeline, settings, borne_out)]
    pieces = [piece for run in standing for piece in _pieces(run, timeline, duration_ms)]
    merged = _merge(pieces, settings.merge_gap_s * 1000.0)
    return tuple(_segment(piece, timeline, category) for piece in merged)


def video_outcome(
    timeline: Timeline,
    found: Sequence[Segment],
    decisions: Sequence[RuleDecision],
    settings: TimelineSettings,
    threshold: float,
) -> tuple[RuleOutcome, str]:
    """The rule's outcome over the whole video and, where it is abstained, why.

    Violated if there is a segment. Otherwise abstained if any frame is, because what it shows may be the moment; or if
    a frame was violated by itself and nothing refutes it. Refuted is a violated frame only if the frames next to it, on
    each side where there is one, were decided, are not violated and lie within `smoothing_s`, and less than half of the
    time in its window is violated, and its smoothed score is below `threshold`. Calm frames seconds away say nothing
    about a short moment, and two violated frames in a row, or every other one, are not noise. With `smoothing_s` 0
    nothing is refuted. Not violated only if neither is so.

    Args:
        timeline: Of the rule.
        found: `segments` of the timeline.
        decisions: The rule on every frame of the timeline.
        settings: As for `segments`.
        threshold: As for `segments`.
    """
    if found:
        return "violated", ""
    if not decisions:
        return "abstained", "no frame was judged"
    doubtful = _doubtful(timeline, settings, threshold)
    undecided = _places(timeline.outcomes, "abstained")
    reasons = []
    if doubtful:
        reasons.append(f"violated {_where(doubtful, timeline)}: too little for a moment, and nothing refutes it")
    if undecided:
        reasons.append(f"undecided {_where(undecided, timeline)}: {decisions[undecided[0]].reason}")
    return ("abstained", "; ".join(reasons)) if reasons else ("not_violated", "")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of the video and the places of the violated frames in it."""

    start_ms: int
    end_ms: int
    places: tuple[int, ...]


def _timeline(
    rule_id: str, decisions: Sequence[RuleDecision], timestamps_ms: Sequence[int], settings: TimelineSettings
) -> Timeline:
    outcomes = tuple(each.outcome for each in decisions)
    scores = tuple(each.score for each in decisions)
    logits = np.array([logit(score) for score in scores], dtype=np.float64)
    averages = _averages(logits, outcomes, timestamps_ms, settings.smoothing_s)
    smoothed = (score if np.isnan(z) else sigmoid(float(z)) for z, score in zip(averages, scores, strict=True))
    return Timeline(
        rule_id=rule_id,
        timestamps_ms=tuple(timestamps_ms),
        scores=scores,
        smoothed=tuple(smoothed),
        outcomes=outcomes,
    )


def _averages(
    values: Floats, outcomes: Sequence[RuleOutcome], timestamps_ms: Sequence[int], smoothing_s: float
) -> Floats:
    """Average over `smoothing_s` to either side of each frame, abstained ones left out; nan where there is no other.

    Every frame stands for the time that is nearer to it than to the next, so ten frames in one second weigh as much as
    one: the average is over time, not over frames. Time before the first frame and after the last is left out.
    """
    if not len(values):
        return values
    times = np.array(timestamps_ms, dtype=np.float64)
    edges = np.concatenate([times[:1], (times[1:] + times[:-1]) / 2.0, times[-1:]])
    weights = np.diff(edges) * np.array([outcome != "abstained" for outcome in outcomes])
    reach = smoothing_s * 1000.0
    weight, total = (
        np.interp(times + reach, edges, summed) - np.interp(times - reach, edges, summed)
        for summed in (_summed(weights), _summed(weights * values))
    )
    average = np.full(len(times), np.nan)
    np.divide(total, weight, out=average, where=weight > 0.0)
    return average


def _summed(parts: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(parts)])


def _violated_share(timeline: Timeline, settings: TimelineSettings) -> Floats:
    """Share of the time judged in each frame's window that is violated; 1 or 0 after its own outcome if it is alone."""
    violated = np.array([outcome == "violated" for outcome in timeline.outcomes], dtype=np.float64)
    shares = _averages(violated, timeline.outcomes, timeline.timestamps_ms, settings.smoothing_s)
    return np.where(np.isnan(shares), violated, shares)


def _borne_out(timeline: Timeline, settings: TimelineSettings, threshold: float) -> Bools:
    reached = np.array(timeline.smoothed, dtype=np.float64) >= threshold - _ROUNDING
    return np.asarray(reached | (_violated_share(timeline, settings) > 0.5 + _ROUNDING))


def _doubtful(timeline: Timeline, settings: TimelineSettings, threshold: float) -> list[int]:
    """Violated frames that are not refuted."""
    outweighed = _violated_share(timeline, settings) < 0.5 - _ROUNDING
    outweighed &= ~_borne_out(timeline, settings, threshold)
    violated = _places(timeline.outcomes, "violated")
    return [place for place in violated if not (outweighed[place] and _calm_beside(timeline, settings, place))]


def _calm_beside(timeline: Timeline, settings: TimelineSettings, place: int) -> bool:
    beside = [other for other in (place - 1, place + 1) if 0 <= other < len(timeline.outcomes)]
    times, reach = timeline.timestamps_ms, settings.smoothing_s * 1000.0
    near = all(abs(times[other] - times[place]) <= reach for other in beside)
    return near and bool(beside) and all(timeline.outcomes[other] == "not_violated" for other in beside)


def _runs(outcomes: Sequence[RuleOutcome]) -> list[list[int]]:
    """Places of the violated frames between any two that are not violated; abstained ones do not part them."""
    runs: list[list[int]] = [[]]
    for place, outcome in enumerate(outcomes):
        if outcome == "not_violated":
            runs.append([])
        elif outcome == "violated":
            runs[-1].append(place)
    return [run for run in runs if run]


def _stands(run: Sequence[int], timeline: Timeline, settings: TimelineSettings, borne_out: Bools) -> bool:
    if settings.strong < 1.0 and max(timeline.scores[place] for place in run) >= settings.strong:
        return True
    enough = len(run) >= min(settings.min_frames, len(timeline.outcomes))
    return enough and bool(borne_out[list(run)].any())


def _pieces(run: Sequence[int], timeline: Timeline, duration_ms: int) -> list[_Piece]:
    """A run, parted at its abstained frames; ends halfway to the judged frames beside it."""
    times = timeline.timestamps_ms
    pieces: list[list[int]] = []
    for place in run:
        if pieces and pieces[-1][-1] == place - 1:
            pieces[-1].append(place)
        else:
            pieces.append([place])
    middles = [(a + b) // 2 for a, b in pairwise(times)]
    bounds = [0, *middles, max(duration_ms, times[-1])]
    return [_Piece(bounds[piece[0]], bounds[piece[-1] + 1], tuple(piece)) for piece in pieces]


def _merge(pieces: Sequence[_Piece], gap_ms: float) -> list[_Piece]:
    merged: list[_Piece] = []
    for piece in pieces:
        if merged and piece.start_ms - merged[-1].end_ms < gap_ms:
            last = merged.pop()
            merged.append(_Piece(last.start_ms, piece.end_ms, last.places + piece.places))
        else:
            merged.append(piece)
    return merged


def _segment(piece: _Piece, timeline: Timeline, category: str) -> Segment:
    peak = max(piece.places, key=lambda place: timeline.scores[place])
    return Segment(
        rule_id=timeline.rule_id,
        category=category,
        start_ms=piece.start_ms,
        end_ms=piece.end_ms,
        peak_ms=timeline.timestamps_ms[peak],
        peak_probability=timeline.scores[peak],
        evidence_ms=tuple(timeline.timestamps_ms[place] for place in piece.places),
    )


def _places(outcomes: Sequence[RuleOutcome], wanted: RuleOutcome) -> list[int]:
    return [place for place, outcome in enumerate(outcomes) if outcome == wanted]


def _where(places: Sequence[int], timeline: Timeline) -> str:
    first_s = timeline.timestamps_ms[places[0]] / 1000.0
    return f"on {len(places)} of {len(timeline.outcomes)} frames, first at {first_s:.1f} s"
