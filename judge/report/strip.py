"""The judged frames of a video as small pictures: few enough, and small enough, for a page of many videos."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from judge.media.image import sample_evenly
from judge.report.thumbnails import thumbnail
from judge.types import Frame, Verdict

MAX_FRAMES = 32
"""Most frames of one video on a page."""


@dataclass(frozen=True, slots=True)
class StripFrame:
    """One frame: its index in the video, when it is shown, a JPEG data URL, and how large the full picture was."""

    index: int
    time_ms: int
    picture: str
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class VideoStrip:
    """Frames of one video, in order, and its length."""

    frames: tuple[StripFrame, ...]
    duration_s: float


def video_strip(frames: Sequence[Frame], duration_s: float) -> VideoStrip:
    """Of these frames; of more than `MAX_FRAMES`, an even choice. See `frames_to_show` for a better one."""
    kept = [frames[position] for position in sample_evenly(len(frames), MAX_FRAMES)]
    return VideoStrip(tuple(_small(frame) for frame in kept), duration_s)


def frames_to_show(
    verdict: Verdict, indices: Sequence[int], timestamps_s: Sequence[float], *, limit: int = MAX_FRAMES
) -> tuple[int, ...]:
    """Indices of judged frames, ascending: where segments peak and what violations rest on first, others evenly.

    Args:
        verdict: Of the video.
        indices: `Frame.index` of the frames that can be read, ascending; of an open video: `range(n)`.
        timestamps_s: When each of them is shown.
        limit: Most frames wanted.
    """
    if not indices:
        return ()
    peaks = [segment.peak_ms for segment in verdict.segments]
    times = [time for timeline in verdict.timelines for time in timeline.timestamps_ms]
    first = {indices[_nearest(timestamps_s, time)] for time in peaks}
    first |= {rule.frame_index for rule in verdict.rules if rule.outcome == "violated" and rule.evidence}
    others = {indices[_nearest(timestamps_s, time)] for time in times}
    others |= {index for rule in verdict.rules for item in rule.evidence for index in item.frame_indices}
    known = frozenset(indices)
    return _choose(first & known, (others - first) & known, limit)


def _choose(first: Collection[int], others: Collection[int], limit: int) -> tuple[int, ...]:
    wanted = sorted(first)
    kept = {wanted[position] for position in sample_evenly(len(wanted), limit)}
    rest, room = sorted(others), limit - len(kept)
    kept |= {rest[position] for position in sample_evenly(len(rest), room)} if room > 0 else set()
    return tuple(sorted(kept))


def _nearest(timestamps_s: Sequence[float], time_ms: int) -> int:
    time_s = time_ms / 1000.0
    right = min(bisect_left(timestamps_s, time_s), len(timestamps_s) - 1)
    left = max(right - 1, 0)
    return left if time_s - timestamps_s[left] < timestamps_s[right] - time_s else right


def _small(frame: Frame) -> StripFrame:
    picture = thumbnail(frame, "JPEG")
    height_px, width_px = frame.image.shape[:2]
    return StripFrame(frame.index, round(frame.timestamp_s * 1000), picture, width_px, height_px)
