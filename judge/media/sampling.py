"""Which frames of a video are looked at. Pure: positions in `VideoInfo.timestamps_s` in, positions out.

Every strategy gives ascending positions, each once, at least one for a video with frames. Where there are more than may
be judged, they are thinned evenly and the first and the last are kept.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from judge.config import SamplingSettings
from judge.media.image import sample_evenly
from judge.media.likeness import Shot, same_as, shots, steps_of, stretches
from judge.media.moments import Times, distinct, nearest, nearest_to_ticks, times_of
from judge.types import Thumbnails, VideoInfo

MOST_THUMBNAILS = 512
"""Most that `wants_thumbnails` names: a video of 51 s at the default `finest_s`; of longer ones every so many-th."""
_SHORTEST_S = 1e-3
"""`max_gap_s` and `finest_s` are read as no less: timestamps are no finer than milliseconds in many containers."""
_SAME_TIME_S = 1e-6
"""Sums of frame lengths miss round numbers by less."""
_FEW = 6
"""With fewer frames than this there is nothing to keep back for closer looks."""
_UNSEEN = 4
"""Rank of a gap that is only long; see `closer_frames`."""


def uniform(info: VideoInfo, n: int) -> tuple[int, ...]:
    """The frames nearest to `n` moments evenly spread over time, both ends included; one: the middle.

    Fewer where the same frame is nearest to several of them.
    """
    times = times_of(info)
    if n >= len(times):
        return tuple(range(len(times)))
    moments = np.linspace(0.0, times[-1], n) if n > 1 else times[-1:] / 2.0
    return distinct(nearest(times, moments))


def at_rate(info: VideoInfo, rate_hz: float, cap: int) -> tuple[int, ...]:
    """The frame nearest to each tick 0, 1 / rate, 2 / rate... None for a tick during which the picture stands still."""
    return thin(distinct(nearest_to_ticks(times_of(info), rate_hz)), cap)


def every(info: VideoInfo, k: int, cap: int) -> tuple[int, ...]:
    """One in `k` frames, from the first on."""
    return thin(range(0, len(info.timestamps_s), k), cap)


def keyframes(info: VideoInfo, cap: int) -> tuple[int, ...]:
    """Those that decode by themselves; the first frame where the container names none."""
    return thin(info.keyframes or range(min(1, len(info.timestamps_s))), cap)


def thin(indices: Sequence[int], most: int) -> tuple[int, ...]:
    """At most `most` of them, evenly by position, the first and the last included; one: the first."""
    return tuple(indices[place] for place in sample_evenly(len(indices), most))


def wants_thumbnails(info: VideoInfo, settings: SamplingSettings) -> tuple[int, ...]:
    """Frames whose thumbnails `first_frames` needs, at most `MOST_THUMBNAILS`; none for most strategies.

    One for every `finest_s`, and the keyframes.
    """
    if settings.strategy not in ("shots", "adaptive"):
        return ()
    grid = at_rate(info, 1.0 / _finest_s(settings), MOST_THUMBNAILS)
    return thin(sorted({*grid, *keyframes(info, MOST_THUMBNAILS)}), MOST_THUMBNAILS)


def first_frames(info: VideoInfo, settings: SamplingSettings, thumbnails: Thumbnails | None = None) -> tuple[int, ...]:
    """The frames that are judged first; with every strategy but `adaptive` there are no others.

    `thumbnails` are those of `wants_thumbnails`, as far as they could be decoded. Without any, `shots` takes those
    frames themselves, thinned.
    """
    most = settings.max_frames
    match settings.strategy:
        case "uniform":
            return uniform(info, min(settings.frames, most))
        case "fps":
            return at_rate(info, settings.rate_hz, most)
        case "every":
            return every(info, settings.every, most)
        case "keyframes":
            return keyframes(info, most)
        case "shots":
            found = shots(thumbnails, settings.shot_change) if thumbnails else ()
            return thin([shot.middle for shot in found] or wants_thumbnails(info, settings), most)
        case "adaptive":
            return _first_pass(info, settings, thumbnails)
    assert_never(settings.strategy)


def closer_frames(
    info: VideoInfo,
    settings: SamplingSettings,
    judged: Mapping[int, float | None],
    thumbnails: Thumbnails | None = None,
) -> tuple[int, ...]:
    """The next round of `adaptive`: frames between judged ones, where something is to be learned.

    Between two of them the look goes to where the thumbnails change most, or to the middle if nothing changes.

    In this order, while `max_frames` allows, wider gaps first:
    1. between a suspicious and a calm frame, until they are `finest_s` apart: there a moment starts or ends, and every
       round halves what is unknown of the place;
    2. the same around undecided frames, and between suspicious ones that are `suspicion` or more apart;
    3. once between two undecided frames: what cannot be decided here and there is not asked about all over;
    4. if there is none of these, in gaps longer than `max_gap_s`: the first pass leaves some in a long video.
    What 1 will need in later rounds is set aside; of the rest, half is kept for what these frames will show.
    Empty if there is nothing to learn, and with every other strategy. Counting the rounds is the caller's.

    Args:
        info: The video.
        settings: How it is sampled.
        judged: The highest rule score by frame; None where it is undecided or could not be judged.
        thumbnails: As for `first_frames`.
    """
    room = settings.max_frames - len(judged)
    if settings.strategy != "adaptive" or room <= 0:
        return ()
    gaps = _gaps(times_of(info), settings, judged, thumbnails)
    ends = [gap for gap in gaps if gap.rank == 1]
    others = [gap for gap in gaps if 1 < gap.rank < _UNSEEN] or ([] if ends else gaps)
    spare = max(0, room - sum(_looks_needed(gap, settings) for gap in ends))
    chosen = ends[:room] + others[: math.ceil(spare / 2)]
    return tuple(sorted(gap.look for gap in chosen))


@dataclass(frozen=True, slots=True)
class _Gap:
    """Between two judged frames; `rank` is the reason to look there, by its number in `closer_frames`."""

    rank: int
    length_s: float
    look: int


def _gaps(
    times: Times, settings: SamplingSettings, judged: Mapping[int, float | None], thumbnails: Thumbnails | None
) -> list[_Gap]:
    """Those worth a look, the most useful first."""
    found = []
    changes = _changes(thumbnails, settings.change) if thumbnails else ()
    for left, right in pairwise(sorted(judged)):
        length_s = float(times[right] - times[left])
        rank = _rank(judged[left], judged[right], length_s, settings)
        if rank is not None and right - left > 1:
            found.append(_Gap(rank, length_s, _at_change(changes, left, right) or _middle(times, left, right)))
    return sorted(found, key=lambda gap: (gap.rank, -gap.length_s, gap.look))


def _looks_needed(gap: _Gap, settings: SamplingSettings) -> int:
    return math.ceil(math.log2(gap.length_s / _finest_s(settings)))


def _rank(left: float | None, right: float | None, length_s: float, settings: SamplingSettings) -> int | None:
    """Which of the reasons in `closer_frames` there is to look between two judged frames; None = none."""
    fine = length_s > _finest_s(settings) + _SAME_TIME_S
    if left is None and right is None:
        return 3 if fine and length_s > _gap_s(settings) / 2.0 + _SAME_TIME_S else None
    if left is None or right is None:
        return 2 if fine else None
    if (left >= settings.suspicion) != (right >= settings.suspicion):
        return 1 if fine else None
    stepped = settings.suspicion > 0.0 and abs(left - right) >= settings.suspicion
    if stepped and min(left, right) >= settings.suspicion:
        return 2 if fine else None
    return _UNSEEN if fine and length_s > _gap_s(settings) + _SAME_TIME_S else None


def _first_pass(info: VideoInfo, settings: SamplingSettings, thumbnails: Thumbnails | None) -> tuple[int, ...]:
    """Landmarks, and what is needed between them so that no gap exceeds `max_gap_s`.

    Half of `max_frames` is kept back for closer looks, if there are any. Where that is too little, landmarks are left
    out; where the gaps alone are too many, they become longer, and half of the frames stay landmarks.
    """
    if settings.max_frames < _FEW:
        return uniform(info, settings.max_frames)
    times, gap_s = times_of(info), _gap_s(settings)
    room = math.ceil(settings.max_frames / 2) if settings.rounds else settings.max_frames
    landmarks = _landmarks(info, settings, thumbnails)
    kept = thin(landmarks, room)
    while len(chosen := _fill(times, kept, gap_s, room)) > room and len(kept) > 2:
        kept = thin(kept, max(2, len(kept) * 7 // 8))
    if len(chosen) > room:
        kept = thin(landmarks, max(2, room // 2))
    while len(chosen) > room:
        chosen = _fill(times, kept, gap_s, room)
        gap_s *= 1.1
    return tuple(chosen)


def _landmarks(info: VideoInfo, settings: SamplingSettings, thumbnails: Thumbnails | None) -> tuple[int, ...]:
    """One frame of every stretch that looks alike, a keyframe where it has one near its middle, and the ends of the
    video unless they are close to one. Sorted.

    Without thumbnails both ends, and a keyframe for every `max_gap_s`.
    """
    last = len(info.timestamps_s) - 1
    if last < 0:
        return ()
    keys = np.array(info.keyframes, dtype=np.intp)
    if thumbnails is not None and thumbnails.indices:
        found = [_middlemost(stretch, keys) for stretch in stretches(thumbnails, settings.change)]
        alike = same_as(thumbnails, found, settings.same_below)
        return _with_ends([index for index in found if index not in alike], times_of(info), _gap_s(settings) / 2.0)
    spaced = keys[nearest_to_ticks(times_of(info)[keys], 1.0 / _gap_s(settings))]
    return tuple(sorted({int(index) for index in spaced} | {0, last}))


def _with_ends(landmarks: Sequence[int], times: Times, reach_s: float) -> tuple[int, ...]:
    """The first and the last frame too, where they are farther than `reach_s` from a landmark."""
    last = len(times) - 1
    first = [0] if times[landmarks[0]] > reach_s + _SAME_TIME_S else []
    end = [last] if times[last] - times[landmarks[-1]] > reach_s + _SAME_TIME_S else []
    return tuple(dict.fromkeys([*first, *landmarks, *end]))


def _middlemost(stretch: Shot, keyframes: NDArray[np.intp]) -> int:
    """A keyframe in the middle half of the stretch, which decodes by itself; else its middle."""
    near = (stretch.last - stretch.first) // 4
    inside = keyframes[np.abs(keyframes - stretch.middle) <= near]
    return int(inside[np.argmin(np.abs(inside - stretch.middle))]) if len(inside) else stretch.middle


def _fill(times: Times, landmarks: Sequence[int], gap_s: float, room: int) -> list[int]:
    """The landmarks and as few frames between them as leave no gap longer than `gap_s` that has a frame in it.

    Stops when there are more than `room`.
    """
    chosen = list(landmarks[:1])
    for landmark in landmarks[1:]:
        while landmark - chosen[-1] > 1 and times[landmark] - times[chosen[-1]] > gap_s + _SAME_TIME_S:
            chosen.append(_step(times, chosen[-1], landmark, gap_s))
            if len(chosen) > room:
                return chosen
        chosen.append(landmark)
    return chosen


def _step(times: Times, start: int, end: int, gap_s: float) -> int:
    """The next frame on the way from `start` to `end` in equal steps of `gap_s` or less; at least the next one."""
    length_s = float(times[end] - times[start])
    target = times[start] + length_s / math.ceil((length_s - _SAME_TIME_S) / gap_s)
    reach = int(np.searchsorted(times, times[start] + gap_s + _SAME_TIME_S, side="right")) - 1
    return max(start + 1, min(_middle(times, start, end, at_s=target), reach))


def _middle(times: Times, left: int, right: int, *, at_s: float | None = None) -> int:
    """The frame strictly between two others that is nearest to a time, by default halfway."""
    wanted = (times[left] + times[right]) / 2.0 if at_s is None else at_s
    return left + 1 + int(nearest(times[left + 1 : right], np.array([wanted]))[0])


_Change = tuple[float, int, int]
"""How much two neighbouring thumbnails differ, and the frames that they are of."""


def _changes(thumbnails: Thumbnails, least: float) -> tuple[_Change, ...]:
    """The largest first."""
    pairs = zip(steps_of(thumbnails), pairwise(thumbnails.indices), strict=True)
    return tuple(sorted(((step, a, b) for step, (a, b) in pairs if step >= least), reverse=True))


def _at_change(changes: Sequence[_Change], left: int, right: int) -> int | None:
    """The frame behind the largest change between two frames, else the one before it; None if nothing changes there."""
    for _, before, after in changes:
        if left <= before and after <= right:
            if after < right:
                return after
            if before > left:
                return before
    return None


def _gap_s(settings: SamplingSettings) -> float:
    return max(settings.max_gap_s, _SHORTEST_S)


def _finest_s(settings: SamplingSettings) -> float:
    return max(settings.finest_s, _SHORTEST_S)
