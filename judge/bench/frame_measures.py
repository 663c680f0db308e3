"""Frame by frame: average precision and AUROC over the frames of all videos; intervals resample whole groups. Pure.

Every frame of a video counts once, with the score of the moment nearest to it. Source: XD-Violence (arXiv 2007.04687),
which counts the frames of whole snippets of 16.

Videos are kept as counts of harmful and harmless frames by score, not as frames: 800 videos of 4000 frames and 400
resamples take seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from judge.bench.detectors.base import Moment
from judge.bench.measures import ROUNDS, areas, drawn_times, group_numbers, interval
from judge.bench.video_frames import VideoFrames, nearest
from judge.metrics import Bools, Floats, Measured
from judge.sources.sample import Intervals, Sample

FRAME_MEASURES = ("frame_ap", "frame_auroc")
_MOST_LEVELS = 4096
"""Different scores in resamples; where there are more, neighbours count as equal there, never in the value itself."""
_VIDEOS_AT_ONCE = 256
_ROUNDS_AT_ONCE = 400


@dataclass(frozen=True, slots=True)
class FrameTruth:
    """Which frames of a video are harmful.

    Attributes:
        harmful: Per frame.
        counts: Per frame; not those that the set leaves open.
        cut: An interval ended after the video, by no more than a second.
    """

    harmful: Bools
    counts: Bools
    cut: bool = False


@dataclass(frozen=True, slots=True)
class ScoredVideo:
    """Frames of one video, counted by score.

    Attributes:
        group: Videos that share it are resampled together; empty = alone.
        scores: Those that occur, in any order, repeated ones included.
        harmful: How many harmful frames have each.
        harmless: How many harmless ones.
    """

    group: str
    scores: Floats
    harmful: Floats
    harmless: Floats

    @property
    def n_harmful(self) -> int:
        return int(self.harmful.sum())

    @property
    def n_frames(self) -> int:
        return self.n_harmful + int(self.harmless.sum())


def frame_truth(sample: Sample, frames: VideoFrames) -> FrameTruth | str:
    """What the data set says of every frame; or why it is not known, in words that many videos may share."""
    said = sample.intervals or Intervals(unit="ms")
    if said.problem:
        return f"its harmful moments cannot be read: {said.problem}"
    if sample.harmful and not said.harmful:
        return "it is harmful, and nothing says when"
    if not sample.harmful and said.harmful:
        return "it is harmless, and has harmful moments"
    return _laid_on(said, frames)


def _laid_on(said: Intervals, frames: VideoFrames) -> FrameTruth | str:
    """The intervals as frames; or why they do not fit the video."""
    places, end, second = frames.shown_ms(), frames.end_ms, 1000.0
    if said.unit == "frames":
        places, end, second = np.arange(frames.count, dtype=np.float64), float(frames.count), frames.rate_hz
    spans = (*said.harmful, *said.unclear)
    if any(start >= end for start, _ in spans):
        return "a harmful or unclear moment begins after its end"
    if any(stop > end + second for _, stop in spans):
        return "a harmful or unclear moment ends more than a second after its end"
    harmful = _inside(places, said.harmful)
    if said.harmful and not harmful.any():
        return "no frame of it lies in its harmful moments"
    return FrameTruth(harmful, harmful | ~_inside(places, said.unclear), cut=any(stop > end for _, stop in spans))


def score_video(group: str, truth: FrameTruth, frames: VideoFrames, moments: Sequence[Moment]) -> ScoredVideo:
    """Every frame with the score of the moment nearest to it; at least one moment is needed."""
    times_s, scores = np.array(moments, dtype=np.float64).T
    place = nearest(times_s * 1000.0, frames.shown_ms())
    return ScoredVideo(
        group,
        scores,
        np.bincount(place[truth.harmful & truth.counts], minlength=len(scores)).astype(np.float64),
        np.bincount(place[~truth.harmful & truth.counts], minlength=len(scores)).astype(np.float64),
    )


def worst_video(group: str, truth: FrameTruth) -> ScoredVideo:
    """A video without moments: every harmful frame at 0, every harmless one at 1."""
    harmful, counted = int((truth.harmful & truth.counts).sum()), int(truth.counts.sum())
    return ScoredVideo(group, np.array([0.0, 1.0]), np.array([harmful, 0.0]), np.array([0.0, counted - harmful]))


def measure_frames(videos: Sequence[ScoredVideo], *, rounds: int = ROUNDS, seed: int = 0) -> dict[str, Measured]:
    """`FRAME_MEASURES`, ties taken together; nan without harmful frames, and the AUROC without harmless ones."""
    rows = _Rows(videos)
    if not rows.n_levels:
        nothing = Measured(float("nan"), float("nan"), float("nan"))
        return dict.fromkeys(FRAME_MEASURES, nothing)
    values = _named(*rows.levels())
    group = group_numbers([each.group for each in videos])
    n_groups, rng = int(group.max()) + 1, np.random.default_rng(seed)
    parts = [
        _named(*rows.resampled(drawn_times(rng, n_groups, min(_ROUNDS_AT_ONCE, rounds - start))[:, group]))
        for start in range(0, rounds, _ROUNDS_AT_ONCE)
    ]
    return {
        name: interval(float(value[0]), np.concatenate([part[name] for part in parts]))
        for name, value in values.items()
    }


class _Rows:
    """The counts of all videos, one row per video and score; rows without frames are left out."""

    def __init__(self, videos: Sequence[ScoredVideo]) -> None:
        lengths = [len(each.scores) for each in videos]
        self.n_videos = len(videos)
        video = np.repeat(np.arange(self.n_videos), lengths)
        score, harmful, harmless = (
            np.concatenate([np.zeros(0), *(getattr(each, name) for each in videos)])
            for name in ("scores", "harmful", "harmless")
        )
        kept = harmful + harmless > 0
        self.video, self.harmful, self.harmless = video[kept], harmful[kept], harmless[kept]
        distinct, upwards = np.unique(score[kept], return_inverse=True)
        self.n_levels = len(distinct)
        self.level: NDArray[np.intp] = self.n_levels - 1 - upwards

    def levels(self) -> tuple[Floats, Floats]:
        """Harmful and harmless frames by level, from the highest score; every video once."""
        hits = np.bincount(self.level, weights=self.harmful, minlength=self.n_levels).astype(np.float64)
        alarms = np.bincount(self.level, weights=self.harmless, minlength=self.n_levels).astype(np.float64)
        return hits[None], alarms[None]

    def resampled(self, weights: Floats) -> tuple[Floats, Floats]:
        """The same by coarse level, one row per weighting: `weights` are `(weightings, videos)`."""
        level, n_levels = self._coarse
        hits, alarms = (np.zeros((len(weights), n_levels)) for _ in range(2))
        for start in range(0, self.n_videos, _VIDEOS_AT_ONCE):
            stop = min(start + _VIDEOS_AT_ONCE, self.n_videos)
            rows = slice(*np.searchsorted(self.video, [start, stop]))
            cell = (self.video[rows] - start) * n_levels + level[rows]
            size = (stop - start) * n_levels
            found = (np.bincount(cell, weights=each[rows], minlength=size) for each in (self.harmful, self.harmless))
            harmful, harmless = (each.reshape(stop - start, n_levels) for each in found)
            hits += weights[:, start:stop] @ harmful
            alarms += weights[:, start:stop] @ harmless
        return hits, alarms

    @cached_property
    def _coarse(self) -> tuple[NDArray[np.intp], int]:
        """Levels with about equally many frames each, where there are too many."""
        if self.n_levels <= _MOST_LEVELS:
            return self.level, self.n_levels
        frames = np.bincount(self.level, weights=self.harmful + self.harmless, minlength=self.n_levels)
        before = np.cumsum(frames) - frames
        coarse = (before * (_MOST_LEVELS / frames.sum())).astype(np.intp)
        return coarse[self.level], _MOST_LEVELS


def _named(hits: Floats, alarms: Floats) -> dict[str, Floats]:
    area, precision = areas(np.cumsum(hits, axis=1), np.cumsum(alarms, axis=1))
    return dict(zip(FRAME_MEASURES, (precision, area), strict=True))


def _inside(places: Floats, spans: Sequence[tuple[int, int]]) -> Bools:
    """Whether each place lies in a span. Steps up and down, summed, so that many spans cost no more than few."""
    steps = np.zeros(len(places) + 1, dtype=np.intp)
    for first, last in (np.searchsorted(places, span, side="left") for span in spans):
        steps[first] += 1
        steps[last] -= 1
    found: Bools = np.cumsum(steps[:-1]) > 0
    return found
