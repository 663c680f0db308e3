"""One rule along a video: from its decisions on frames, or on pieces, to one decision with moments. Pure.

Not here: the arithmetic of smoothing and segments (`judge.timeline`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from judge.config import TimelineSettings
from judge.decide import abstain, merge_frames
from judge.timeline import segments, timelines, video_outcome
from judge.types import Frame, RuleDecision, Segment, Timeline


@dataclass(frozen=True, slots=True)
class Along:
    """What a rule came to; a picture has neither a timeline nor segments."""

    decision: RuleDecision
    timeline: Timeline | None = None
    segments: tuple[Segment, ...] = ()


def along_frames(
    decisions: Sequence[RuleDecision],
    timestamps_ms: Sequence[int],
    duration_ms: int,
    settings: TimelineSettings,
    threshold: float,
) -> Along:
    """The rule over the whole video, from its decision on every frame, in order of time; at least one.

    The evidence kept is that of the frame that speaks most for the outcome.
    """
    rule_id, category = decisions[0].rule_id, decisions[0].category
    (timeline,) = timelines({rule_id: decisions}, timestamps_ms, settings)
    found = segments(timeline, settings, threshold, duration_ms, category)
    outcome, reason = video_outcome(timeline, found, decisions, settings, threshold)
    alike = [each for each in decisions if each.outcome == outcome]
    if not alike:  # violated on single frames, but not borne out
        return Along(abstain(merge_frames(decisions), reason), timeline, found)
    if found:
        inside = {time for segment in found for time in segment.evidence_ms}
        alike = [e for e, at in zip(decisions, timestamps_ms, strict=True) if at in inside and e.outcome == outcome]
    decision = merge_frames(alike)
    if outcome == "abstained":
        return Along(abstain(merge_frames(alike), reason), timeline, found)
    return Along(decision, timeline, found)


def along_pieces(decisions: Sequence[RuleDecision], pieces: Sequence[Sequence[Frame]]) -> Along:
    """The rule over the whole video, from its decision on every piece; at least one. A violated piece is a segment."""
    found = tuple(
        _segment(decision, frames)
        for decision, frames in zip(decisions, pieces, strict=True)
        if decision.outcome == "violated"
    )
    return Along(merge_frames(decisions), None, found)


def _segment(decision: RuleDecision, frames: Sequence[Frame]) -> Segment:
    times = tuple(to_ms(frame.timestamp_s) for frame in frames)
    return Segment(
        rule_id=decision.rule_id,
        category=decision.category,
        start_ms=times[0],
        end_ms=times[-1],
        peak_ms=times[len(times) // 2],
        peak_probability=decision.score,
        evidence_ms=times,
        source="clip",
    )


def unless_damaged(found: Along, damaged: Sequence[str]) -> Along:
    """Where frames could not be read, nothing is said not to be there."""
    if not damaged or found.decision.outcome != "not_violated":
        return found
    more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
    return Along(abstain(found.decision, f"not all of it could be read: {damaged[0]}{more}"), found.timeline)


def to_ms(seconds: float) -> int:
    return round(seconds * 1000.0)
