"""When, in words: times of a video, and what is said where there are none."""

from __future__ import annotations

from judge.types import Verdict


def clock(time_ms: float) -> str:
    """To a tenth of a second: `0:03.2`, `12:00.0`, `1:02:03.4`."""
    tenths = int(time_ms + 50) // 100
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest // 10:02d}.{rest % 10}"
    return f"{hours}:{minutes:02d}:{seconds}" if hours else f"{minutes}:{seconds}"


def span(start_ms: float, end_ms: float) -> str:
    """`0:03.2-0:05.7`."""
    return f"{clock(start_ms)}-{clock(end_ms)}"


def no_segments(verdict: Verdict) -> str:
    """Instead of a list of segments. Where no rule was read along the video, nothing is known of when."""
    return "no segments" if verdict.timelines else "no segments: no rule was read along time"
