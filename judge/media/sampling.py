"""Which frames of a video are looked at. Pure: positions in `VideoInfo.timestamps_s` in, positions out.

Every strategy gives ascending positions, each once, at least one for a video with frames. Where there are more than may
be judged, they are thinned evenly and the first and the last are kept.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from judge.config import SamplingSettings
from judge.media.image import sample_evenly
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

_PARTS = (6, 8)
"""Rows and columns of the parts in which near-duplicates are compared."""

Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Shot:
    """A stretch without a cut, as far as its thumbnails show: the frames of its first, last and middle thumbnail."""

    first: int
    last: int
    middle: int


def uniform(info: VideoInfo, n: int) -> tuple[int, ...]:
    """The frames nearest to `n` moments evenly spread over time, both ends included; one: the middle.

    Fewer where the same frame is nearest to several of them.
    """
    times = _times(info)
    if n >= len(times):
        return tuple(range(len(times)))
    moments = np.linspace(0.0, times[-1], n) if n > 1 else times[-1:] / 2.0
    return _distinct(_nearest(times, moments))


def at_rate(info: VideoInfo, rate_hz: float, cap: int) -> tuple[int, ...]:
    """The frame nearest to each tick 0, 1 / rate, 2 / rate... None for a tick during which the picture stands still."""
    return thin(_distinct(_nearest_to_ticks(_times(info), rate_hz)), cap)


def every(info: VideoInfo, k: int, cap: int) -> tuple[int, ...]:
    """One in `k` frames, from the first on."""
    return thin(range(0, len(info.timestamps_s), k), cap)


def keyframes(info: VideoInfo, cap: int) -> tuple[int, ...]:
    """Those that decode by themselves; the first frame where the container names none."""
    return thin(info.keyframes or range(min(1, len(info.timestamps_s))), cap)


def shots(thumbnails: Thumbnails, change: float) -> tuple[Shot, ...]:
    """Cut where two neighbouring thumbnails differ by `change` or more, as a mean over pixels and channels, of 1.

    A fade that is slower than the thumbnails' distance is no cut.
    """
    if not thumbnails.indices:
        return ()
    cuts = np.flatnonzero(_differences(thumbnails.images[1:], thumbnails.images[:-1]) >= change) + 1
    bounds = [0, *(int(cut) for cut in cuts), len(thumbnails.indices)]
    names = thumbnails.indices
    return tuple(Shot(names[a], names[b - 1], names[(a + b - 1) // 2]) for a, b in pairwise(bounds))


def stretches(thumbnails: Thumbnails, change: float) -> tuple[Shot, ...]:
    """Cut where two neighbouring thumbnails differ by `change` or more, of 1, in the part that differs most.

    A thing that comes, goes or jumps ends a stretch, which is no cut of the film. Stretches of one thumbnail that
    follow each other are one: something is moving there.
    """
    if not thumbnails.indices:
        return ()
    steps = _steps(thumbnails)
    cuts = [place + 1 for place, step in enumerate(steps) if step >= change]
    bounds = [0, *cuts, len(thumbnails.indices)]
    joined = [bounds[0]]
    for before, here, after in zip(bounds, bounds[1:], bounds[2:], strict=False):
        if here - before > 1 or after - here > 1:
            joined.append(here)
    joined.append(bounds[-1])
    names = thumbnails.indices
    return tuple(Shot(names[a], names[b - 1], names[(a + b - 1) // 2]) for a, b in pairwise(joined))


def same_as(
    thumbnails: Thumbnails, indices: Sequence[int], below: float, *, judged: Collection[int] = ()
) -> dict[int, int]:
    """Which of the frames `indices` may take over the reading of which earlier one of them.

    A frame is compared with the last one that stands for itself, never with one that was taken over, so that slow
    changes do not add up. A frame without a thumbnail stands for itself, and so does one in `judged`: it has a reading
    of its own.

    Args:
        thumbnails: Of these frames, and perhaps of others.
        indices: Frames in question.
        below: Mean difference, of 1, in the part of the picture that differs most; 0 = no frame takes over anything.
            A part is a small share of the picture, so that a thing that comes or moves there counts.
        judged: Frames that have been judged before.
    """
    at = {index: place for place, index in enumerate(thumbnails.indices)}
    taken: dict[int, int] = {}
    standing: int | None = None
    for index in sorted(index for index in indices if index in at):
        alike = standing is not None and _local_difference(thumbnails.images, at[standing], at[index]) < below
        if standing is not None and alike and index not in judged:
            taken[index] = standing
        else:
            standing = index
    return taken


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
    gaps = _gaps(_times(info), settings, judged, thumbnails)
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
    times, gap_s = _times(info), _gap_s(settings)
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
        return _with_ends([index for index in found if index not in alike], _times(info), _gap_s(settings) / 2.0)
    spaced = keys[_nearest_to_ticks(_times(info)[keys], 1.0 / _gap_s(settings))]
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
    return left + 1 + int(_nearest(times[left + 1 : right], np.array([wanted]))[0])


_Change = tuple[float, int, int]
"""How much two neighbouring thumbnails differ, and the frames that they are of."""


def _changes(thumbnails: Thumbnails, least: float) -> tuple[_Change, ...]:
    """The largest first."""
    pairs = zip(_steps(thumbnails), pairwise(thumbnails.indices), strict=True)
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


def _steps(thumbnails: Thumbnails) -> list[float]:
    """How much each thumbnail differs from the next, in the part that differs most."""
    return [_local_difference(thumbnails.images, place, place + 1) for place in range(len(thumbnails.indices) - 1)]


def _times(info: VideoInfo) -> Times:
    return np.array(info.timestamps_s, dtype=np.float64)


def _gap_s(settings: SamplingSettings) -> float:
    return max(settings.max_gap_s, _SHORTEST_S)


def _finest_s(settings: SamplingSettings) -> float:
    return max(settings.finest_s, _SHORTEST_S)


def _nearest(times: Times, wanted: Times) -> NDArray[np.intp]:
    """For each wanted time, the position of the nearest; the earlier of two."""
    after = np.minimum(np.searchsorted(times, wanted), len(times) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(wanted - times[before] <= np.abs(times[after] - wanted), before, after)


def _nearest_to_ticks(times: Times, rate_hz: float) -> NDArray[np.intp]:
    """Position of the time nearest to each tick, among the times that no other tick is nearer to.

    The work grows with the times, not with the ticks.
    """
    ticks = np.rint(times * rate_hz)
    distances = np.round(np.abs(times * rate_hz - ticks), 6)
    order = np.lexsort((distances, ticks))
    _, first = np.unique(ticks[order], return_index=True)
    return np.asarray(order[first], dtype=np.intp)


def _distinct(indices: NDArray[np.intp]) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unique(indices))


def _local_difference(images: NDArray[np.uint8], one: int, other: int) -> float:
    """The mean over pixels and channels in each of up to 6 x 8 parts of the picture; the largest of them."""
    change = np.abs(images[one].astype(np.int16) - images[other].astype(np.int16)).mean(-1)
    rows, columns = (_starts(length, parts) for length, parts in zip(change.shape, _PARTS, strict=True))
    sums = np.add.reduceat(np.add.reduceat(change, rows, axis=0), columns, axis=1)
    counts = np.outer(np.diff([*rows, change.shape[0]]), np.diff([*columns, change.shape[1]]))
    return float((sums / counts).max() / 255.0)


def _starts(length: int, parts: int) -> list[int]:
    """Where each of at most `parts` about equal stretches begins."""
    count = min(parts, length)
    return [length * number // count for number in range(count)]


def _differences(some: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean absolute difference of each pair of pictures, of 1."""
    apart = np.abs(some.astype(np.int16) - others.astype(np.int16))
    return np.asarray(apart.mean(axis=(1, 2, 3)) / 255.0, dtype=np.float64)
