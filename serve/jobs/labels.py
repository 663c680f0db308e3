"""A verdict about a video as labels of AWS's shape, page by page. Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from judge.types import Segment, Verdict
from serve.problems import ApiError
from serve.schemas.jobs import AggregateBy, ContentModerationDetection, ModerationLabel, SortBy


@dataclass(frozen=True, slots=True)
class View:
    """How labels are asked for."""

    sort_by: SortBy
    aggregate_by: AggregateBy
    max_results: int
    min_confidence: float = 0.0


def page_of(
    verdict: Verdict, view: View, token: str | None
) -> tuple[tuple[ContentModerationDetection, ...], str | None]:
    """One page, and the token of the next one. Raises `ApiError` 422 for a token of something else."""
    found = labels(verdict, view)
    start = _offset(token, view, len(found))
    end = start + view.max_results
    return tuple(found[start:end]), _token(view, end) if end < len(found) else None


def labels(verdict: Verdict, view: View) -> list[ContentModerationDetection]:
    """All labels that are probable enough, sorted."""
    per_segment = _by_segment if view.aggregate_by == "SEGMENTS" else _by_timestamp
    found = [label for segment in _segments(verdict) for label in per_segment(verdict, segment)]
    kept = [label for label in found if label.moderation_label.confidence >= view.min_confidence]
    if view.sort_by == "NAME":
        return sorted(kept, key=lambda label: (label.moderation_label.name, label.timestamp))
    return sorted(kept, key=lambda label: (label.timestamp, label.moderation_label.name))


def _segments(verdict: Verdict) -> Iterator[Segment]:
    """Those of the verdict, and the whole video for a violated rule that says of no stretch when."""
    yield from verdict.segments
    placed = {segment.rule_id for segment in verdict.segments}
    for rule in verdict.rules:
        if rule.outcome == "violated" and rule.rule_id not in placed:
            yield Segment(
                rule_id=rule.rule_id, category=rule.category, start_ms=0, end_ms=verdict.duration_ms or 0, peak_ms=0,
                peak_probability=rule.score, evidence_ms=(), source="whole",
            )  # fmt: skip


def _by_segment(verdict: Verdict, segment: Segment) -> Sequence[ContentModerationDetection]:
    return (
        ContentModerationDetection(
            timestamp=segment.start_ms, moderation_label=_label(segment, segment.peak_probability),
            start_timestamp_millis=segment.start_ms, end_timestamp_millis=segment.end_ms,
            duration_millis=segment.end_ms - segment.start_ms,
        ),
    )  # fmt: skip


def _by_timestamp(verdict: Verdict, segment: Segment) -> Sequence[ContentModerationDetection]:
    """One label for each frame that shows the violation by itself, and for the peak."""
    scores = {
        at_ms: score
        for timeline in verdict.timelines
        if timeline.rule_id == segment.rule_id and segment.source == "frames"
        for at_ms, score in zip(timeline.timestamps_ms, timeline.scores, strict=True)
    }
    return [
        ContentModerationDetection(
            timestamp=at_ms, moderation_label=_label(segment, scores.get(at_ms, segment.peak_probability))
        )
        for at_ms in sorted({*segment.evidence_ms, segment.peak_ms})
    ]


def _label(segment: Segment, probability: float) -> ModerationLabel:
    return ModerationLabel(name=segment.rule_id, parent_name=segment.category, confidence=100.0 * probability)


def _token(view: View, offset: int) -> str:
    text = f"{view.sort_by} {view.aggregate_by} {offset}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _offset(token: str | None, view: View, n_labels: int) -> int:
    if token is None:
        return 0
    try:
        padded = token + "=" * (-len(token) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError) as error:
        raise _wrong_token() from error
    *named, offset = text.split(" ")
    if named != [view.sort_by, view.aggregate_by] or not (offset.isdigit() and len(offset) < 10):
        raise _wrong_token()
    if int(offset) >= n_labels:
        raise _wrong_token()
    return int(offset)


def _wrong_token() -> ApiError:
    hint = "send the token of the last page with the same sort_by and aggregate_by"
    return ApiError(422, "invalid_token", "the next_token is not one of this job", param="next_token", hint=hint)
