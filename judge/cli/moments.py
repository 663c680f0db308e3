"""When, in a video: its length, the segments in which rules are violated, and each rule along it."""

from __future__ import annotations

from rich.console import Console

from judge.cli.paragraphs import say
from judge.report.moments import clock, no_segments, span
from judge.types import Timeline, Verdict


def print_moments(console: Console, verdict: Verdict, indent: int) -> None:
    """Nothing for a picture."""
    if verdict.media_kind != "video" and verdict.duration_ms is None and not verdict.segments:
        return
    length = "length unknown" if verdict.duration_ms is None else clock(verdict.duration_ms)
    judged = "" if verdict.n_frames is None else f", {verdict.n_frames} frames judged"
    say(console, indent, f"video {length}{judged}")
    for each in verdict.segments:
        found = "" if each.source == "frames" else f", found on a {each.source}"
        say(
            console,
            indent + 2,
            (span(each.start_ms, each.end_ms), "bold red"),
            f" {each.rule_id}  peak {each.peak_probability:.2f} at {clock(each.peak_ms)}{found}",
        )
    if not verdict.segments:
        say(console, indent + 2, no_segments(verdict))


def along(timeline: Timeline) -> str:
    """One rule along the video, in words."""
    if not timeline.scores:
        return "along the video: no frame was read"
    peak = max(range(len(timeline.scores)), key=timeline.scores.__getitem__)
    highest = f"highest {timeline.scores[peak]:.2f} at {clock(timeline.timestamps_ms[peak])}"
    violated, undecided = (timeline.outcomes.count(kind) for kind in ("violated", "abstained"))
    return f"along the video: {highest}; of {len(timeline.scores)} frames {violated} violated, {undecided} undecided"
