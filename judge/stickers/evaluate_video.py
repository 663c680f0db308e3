"""Measures a judge on sticker videos: verdicts, when harm happens, and what looking costs, by sampling strategy.

An abstention is a wrong answer in accuracy, balanced accuracy and F1: it neither finds harm nor clears a clip. Overlap
in time is measured for every rule that a clip truly violates, with what geometry leaves open cut out of both sides; a
rule that was not found overlaps by 0. Rules about clips are kept apart: a model that is asked about a whole piece of
video cannot say when in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from judge.config import SamplingSettings
from judge.media.video import open_video
from judge.metrics import Bools, Floats, Measured, auroc, bootstrap, interval_iou, share
from judge.pipeline import Judge
from judge.stickers.video_splits import Interval, VideoItem
from judge.types import Verdict

STRATEGIES: Mapping[str, SamplingSettings] = {
    "adaptive": SamplingSettings(strategy="adaptive"),
    "uniform(5)": SamplingSettings(strategy="uniform", frames=5),
    "fps(10)": SamplingSettings(strategy="fps", rate_hz=10.0, max_frames=128, same_below=0.0),
    "fps(2)": SamplingSettings(strategy="fps", rate_hz=2.0),
    "keyframes": SamplingSettings(strategy="keyframes"),
}
"""`fps(10)` judges every frame: what the others save, and what they miss, shows beside it."""
MEASURES: tuple[str, ...] = (
    "accuracy", "balanced_accuracy", "f1", "auroc", "coverage", "iou", "iou_clip_rules", "false_segments_per_minute",
    "frames_per_second", "questions_per_clip", "tokens_per_clip", "seconds_per_clip",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Watched:
    """One clip, what was said of it, and how long that took, opening included."""

    item: VideoItem
    verdict: Verdict
    seconds: float


async def watch(judge: Judge, clips: Iterable[tuple[VideoItem, Path]]) -> list[Watched]:
    """Judges clips from their files, one after the other.

    Raises:
        MediaError: A file is not a video.
    """
    watched: list[Watched] = []
    for item, path in clips:
        began = time.perf_counter()
        media = open_video(path.read_bytes(), source=path.name)
        assert media.video is not None
        with closing(media.video):
            (verdict,) = await judge.judge([media])
        watched.append(Watched(item, verdict, time.perf_counter() - began))
    return watched


def video_metrics(watched: Sequence[Watched], clip_rules: frozenset[str]) -> dict[str, Measured]:
    """`MEASURES`, by name; nan where there is nothing to measure."""
    harmful = np.array([w.item.harmful for w in watched], dtype=np.bool_)
    scores = np.array([w.verdict.score for w in watched], dtype=np.float64)
    flagged, cleared = (
        np.array([w.verdict.flagged is said for w in watched], dtype=np.bool_) for said in (True, False)
    )
    by_clip = {
        "questions_per_clip": [float(w.verdict.usage.questions) for w in watched],
        "tokens_per_clip": [float(w.verdict.usage.prompt_tokens + w.verdict.usage.completion_tokens) for w in watched],
        "seconds_per_clip": [w.seconds for w in watched],
    }
    frames = [float(w.verdict.n_frames or 0) for w in watched]
    return {
        "accuracy": bootstrap(_accuracy, harmful, flagged, cleared),
        "balanced_accuracy": bootstrap(_balanced, harmful, flagged, cleared),
        "f1": bootstrap(_f1, harmful, flagged),
        "auroc": bootstrap(auroc, harmful, scores),
        "coverage": share([w.verdict.flagged is not None for w in watched]),
        "iou": overlap(watched, lambda rule: rule not in clip_rules),
        "iou_clip_rules": overlap(watched, lambda rule: rule in clip_rules),
        "false_segments_per_minute": false_segments(watched),
        "frames_per_second": _ratio(frames, [w.item.duration_ms / 1000.0 for w in watched]),
        **{name: _ratio(values, [1.0] * len(values)) for name, values in by_clip.items()},
    }


def overlap(watched: Sequence[Watched], counts: Callable[[str], bool]) -> Measured:
    """Mean overlap in time (intersection over union), over the truly violated rules of all clips that count.

    The bootstrap draws clips: rules of a clip are not independent.
    """
    rows = [(w.item.id, rule_iou(w, rule)) for w in watched for rule in w.item.truth.intervals if counts(rule)]
    return bootstrap(_mean, np.array([iou for _, iou in rows], dtype=np.float64), groups=[clip for clip, _ in rows])


def rule_iou(watched: Watched, rule: str) -> float:
    """Overlap in time of a rule's found and true intervals, without what is unclear."""
    truth = watched.item.truth
    unclear = truth.unclear.get(rule, ())
    found = [(each.start_ms, each.end_ms) for each in watched.verdict.segments if each.rule_id == rule]
    return interval_iou(without(found, unclear), without(truth.intervals.get(rule, ()), unclear))


def without(intervals: Iterable[Interval], left_out: Iterable[Interval]) -> list[Interval]:
    """The intervals with others cut out of them."""
    kept = list(intervals)
    for start, end in left_out:
        pieces = [piece for a, b in kept for piece in ((a, min(b, start)), (max(a, end), b))]
        kept = [(a, b) for a, b in pieces if a < b]
    return kept


def false_segments(watched: Sequence[Watched]) -> Measured:
    """Segments of any rule in calm clips, per minute of these."""
    calm = [w for w in watched if not w.item.harmful]
    return _ratio([float(len(w.verdict.segments)) for w in calm], [w.item.duration_ms / 60_000.0 for w in calm])


def _ratio(amounts: Sequence[float], sizes: Sequence[float]) -> Measured:
    """Sum over sum."""
    columns = (np.array(column, dtype=np.float64) for column in (amounts, sizes))
    return bootstrap(lambda above, below: float(above.sum() / below.sum()), *columns)


def _mean(values: Floats) -> float:
    return float(values.mean())


def _accuracy(harmful: Bools, flagged: Bools, cleared: Bools) -> float:
    return float(np.where(harmful, flagged, cleared).mean())


def _balanced(harmful: Bools, flagged: Bools, cleared: Bools) -> float:
    if harmful.all() or not harmful.any():
        return float("nan")
    return float((flagged[harmful].mean() + cleared[~harmful].mean()) / 2)


def _f1(harmful: Bools, flagged: Bools) -> float:
    total = int(flagged.sum() + harmful.sum())
    return 2 * int((flagged & harmful).sum()) / total if total else float("nan")
