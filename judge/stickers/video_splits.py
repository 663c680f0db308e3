"""The video data sets of the sticker world: labelled clips by split, deterministic by seed.

A clip shows a harmless scene, an edit of it, and the harmless scene again. In a harmful clip the edit violates a rule
for 0.4 s up to half of the clip; in a calm one it is harmless too, so that change is not harm.

Truth is by frame and rule. A frame stands for the time that is nearer to it than to its neighbours, as in a `Segment`:
on the screen all of it comes half a frame (50 ms) later. Frames on which geometry leaves a rule open are neither
violated nor not: they are kept apart, and measures of overlap leave them out. A rule about clips, if the clip as a
whole violates it, is true where its statements hold in the frame by itself; if geometry leaves it open over the clip,
those frames are unclear. A clip is calm only if no rule is open in any frame.

Not here: files (`video_files`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict

from judge.stickers.clips import RATE_HZ, Clip, make_clip
from judge.stickers.sampling import draw_scene, draw_twin, edit
from judge.stickers.scene import Scene
from judge.stickers.splits import PolicyTruth, RuleAlong, some_violated, split_generator
from judge.types import Outcome

VideoSplit = Literal["calibration-video", "test-video", "demo-video"]
"""`demo-video` is what the samples are from."""
VIDEO_SPLITS: tuple[VideoSplit, ...] = get_args(VideoSplit)
Interval = tuple[int, int]
"""Start and end in ms."""
_SECONDS = (2.0, 8.0)
_SHORTEST = 4
"""Frames of a harmful moment, and of the calm before and after it."""
_FRAME_MS = 1000 // RATE_HZ


class Plan(BaseModel):
    """What a clip is made from: see `make_clip`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calm: Scene
    event: Scene
    frames: int
    start: int
    end: int
    seed: int

    def clip(self) -> Clip:
        """The scenes of its frames."""
        return make_clip(
            self.calm, self.event, frames=self.frames, start=self.start, end=self.end, seed=self.seed
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ClipTruth:
    """What is true of a clip.

    Attributes:
        harmful: Whether some rule is violated; None if geometry leaves that open.
        intervals: Rule -> when it is violated; rules that are not are left out.
        unclear: Rule -> when geometry leaves it open.
    """

    harmful: bool | None
    intervals: Mapping[str, tuple[Interval, ...]]
    unclear: Mapping[str, tuple[Interval, ...]]


@dataclass(frozen=True, slots=True)
class VideoItem:
    """One labelled clip."""

    id: str
    plan: Plan
    truth: ClipTruth

    @property
    def harmful(self) -> bool:
        return bool(self.truth.harmful)

    @property
    def duration_ms(self) -> int:
        return self.plan.frames * _FRAME_MS


def draw_video_split(split: VideoSplit, count: int, truth: PolicyTruth, *, seed: int = 0) -> Iterator[VideoItem]:
    """`count` clips, harmful and calm in turns.

    Every third harmful one violates a rule about clips, if the policy has any; others may as well.
    """
    rng = split_generator(split, seed)
    for index in range(count):
        if index % 2 == 0:
            plan, label = _harmful(truth, rng, of_clips=bool(truth.clip_rules) and index % 6 == 0)
        else:
            plan, label = _calm(truth, rng)
        yield VideoItem(f"{split}-{index:05d}", plan, label)


def _harmful(truth: PolicyTruth, rng: np.random.Generator, *, of_clips: bool) -> tuple[Plan, ClipTruth]:
    while True:
        event = draw_scene(rng)
        moments = truth.moments(event)
        if not some_violated(moments.values()):
            continue
        if of_clips and not any(moments[rule] == "satisfied" for rule in truth.clip_rules):
            continue
        calm = draw_twin(event, rng, lambda scene: some_violated(truth.moments(scene).values()))
        if calm is None:
            continue
        plan = _plan(calm, event, rng, margin=_SHORTEST)
        along = truth.along(plan.clip().frames)
        label = _label(along, truth)
        clip_rule = not of_clips or any(rule in label.intervals for rule in truth.clip_rules)
        if label.harmful and clip_rule and _SHORTEST <= _violated_frames(along, label) <= plan.frames // 2:
            return plan, label


def _violated_frames(along: Mapping[str, RuleAlong], label: ClipTruth) -> int:
    """Frames in which some violated rule is violated."""
    rules = [along[rule].frames for rule in label.intervals]
    return sum("satisfied" in outcomes for outcomes in zip(*rules, strict=True))


def _calm(truth: PolicyTruth, rng: np.random.Generator) -> tuple[Plan, ClipTruth]:
    while True:
        first = draw_scene(rng)
        if not first.stickers or truth.harmful(first) is not False:
            continue
        second = edit(first, int(rng.integers(len(first.stickers))), rng)
        if second is None or second == first or truth.harmful(second) is not False:
            continue
        plan = _plan(first, second, rng, margin=0)
        label = clip_label(plan, truth)
        if label.harmful is False:
            return plan, label


def _plan(calm: Scene, event: Scene, rng: np.random.Generator, *, margin: int) -> Plan:
    """At least `margin` calm frames before and after the event."""
    frames = round(rng.uniform(*_SECONDS) * RATE_HZ)
    length = int(rng.integers(_SHORTEST, frames // 2 + 1))
    start = int(rng.integers(margin, frames - length - margin + 1))
    seed = int(rng.integers(2**31))
    return Plan(calm=calm, event=event, frames=frames, start=start, end=start + length, seed=seed)


def clip_label(plan: Plan, truth: PolicyTruth) -> ClipTruth:
    """What is true of a clip, frame by frame."""
    return _label(truth.along(plan.clip().frames), truth)


def _label(along: Mapping[str, RuleAlong], truth: PolicyTruth) -> ClipTruth:
    intervals: dict[str, tuple[Interval, ...]] = {}
    unclear: dict[str, tuple[Interval, ...]] = {}
    for rule, found in along.items():
        if rule in truth.clip_rules and found.whole == "rejected":
            continue
        open_: set[Outcome] = {"undecided"}
        if found.whole == "satisfied":
            intervals[rule] = _intervals([outcome == "satisfied" for outcome in found.frames])
        elif rule in truth.clip_rules:
            open_.add("satisfied")
        if left_open := _intervals([outcome in open_ for outcome in found.frames]):
            unclear[rule] = left_open
    return ClipTruth(True if intervals else some_violated(each.whole for each in along.values()), intervals, unclear)


def _intervals(flags: Sequence[bool]) -> tuple[Interval, ...]:
    """Runs of frames, each from halfway to the frame before to halfway to the frame after; the ends of the clip."""
    bounds = [0, *(number * _FRAME_MS - _FRAME_MS // 2 for number in range(1, len(flags))), len(flags) * _FRAME_MS]
    turns = np.flatnonzero(np.diff([False, *flags, False]))
    return tuple((bounds[start], bounds[end]) for start, end in zip(turns[::2], turns[1::2], strict=True))
