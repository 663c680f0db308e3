"""One detector frame by frame: which videos can be measured so, which cannot and why, and what comes out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from judge.bench.frame_measures import ScoredVideo, frame_truth, measure_frames, score_video, worst_video
from judge.bench.records import Predicted
from judge.bench.results import FrameResult, FrameSlice, Interval
from judge.sources.sample import Sample

_MOST_REASONS = 8


def by_frame(samples: Sequence[Sample], said: Mapping[str, Predicted], *, rounds: int, seed: int) -> FrameResult | None:
    """None where the data set says of no sample when it is harmful.

    Args:
        samples: Those that count for the detector.
        said: What it said of each of them.
    """
    if all(each.intervals is None for each in samples):
        return None
    answered: list[ScoredVideo] = []
    silent: list[ScoredVideo] = []
    why_silent, left_out = Counter[str](), Counter[str]()
    unclear = cut = 0
    for sample in samples:
        row = said[sample.id]
        truth = frame_truth(sample, row.video) if row.video is not None else _no_frames(row)
        if row.video is None or isinstance(truth, str):
            left_out[str(truth)] += 1
            continue
        unclear += int((~truth.counts).sum())
        cut += truth.cut
        if row.moments:
            answered.append(score_video(sample.group, truth, row.video, row.moments))
        else:
            silent.append(worst_video(sample.group, truth))
            why_silent[row.reason or "it gives no scores along a video"] += 1
    measured = _slice(answered, rounds, seed)
    return FrameResult(
        answered=measured,
        as_wrong=_slice([*answered, *silent], rounds, seed) if silent else measured,
        silent=dict(why_silent.most_common(_MOST_REASONS)),
        left_out=left_out.total(),
        reasons=dict(left_out.most_common(_MOST_REASONS)),
        unclear=unclear,
        cut=cut,
    )


def _no_frames(row: Predicted) -> str:
    """Why the frames of what was asked about are not known."""
    if row.failed:
        return row.reason
    return "its frames are not known: it is no video, or was asked about before frames were kept"


def _slice(videos: Sequence[ScoredVideo], rounds: int, seed: int) -> FrameSlice:
    return FrameSlice(
        videos=len(videos),
        harmful_videos=sum(each.n_harmful > 0 for each in videos),
        frames=sum(each.n_frames for each in videos),
        harmful_frames=sum(each.n_harmful for each in videos),
        measures={name: Interval.of(each) for name, each in measure_frames(videos, rounds=rounds, seed=seed).items()},
    )
