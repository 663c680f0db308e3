"""A video is looked at where it matters; what happens in it gets a time; what could not be seen is never "safe"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from judge.config import Cascade, DebateSettings, JudgeConfig, SamplingSettings, Thresholds, VideoSettings
from judge.constitution import Constitution, parse_constitution
from judge.engines.base import Capabilities
from judge.engines.scripted import ScriptedEngine
from judge.errors import EngineError, MediaError
from judge.pipeline import Judge
from judge.stages.prior_store import PriorStore
from judge.stages.video import Progress
from judge.stages.watching import Watcher
from judge.types import Frame, Media, Prompt, Thumbnails, VideoInfo

CONSTITUTION: Constitution = parse_constitution(
    """
name: clips
version: "1"
categories: {harm: {title: Harm}}
preconditions:
  light: {statement: A light is on.}
  flash: {statement: The light goes on.}
rules:
  lit: {category: harm, severity: high, text: t, statement: A light is on., violated_when: light}
  flashing:
    {category: harm, severity: high, text: t, statement: A light goes on., violated_when: flash, modalities: [video]}
""",
    source="clips",
)
FRAMES_ONLY: Constitution = parse_constitution(
    """
name: frames
version: "1"
categories: {harm: {title: Harm}}
preconditions: {light: {statement: A light is on.}}
rules:
  lit: {category: harm, severity: high, text: t, statement: A light is on., violated_when: light}
""",
    source="frames",
)


@dataclass
class Reel:
    """A video in memory, at 10 frames a second; `broken` frames cannot be decoded. Its pictures are gray."""

    grays: Sequence[int]
    broken: frozenset[int] = frozenset()
    every: int = 10
    reads: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def info(self) -> VideoInfo:
        times = tuple(n / 10 for n in range(len(self.grays)))
        return VideoInfo(times, tuple(range(0, len(times), self.every)), len(times) / 10, 4, 4)

    def read(self, indices: Sequence[int]) -> list[Frame]:
        self.reads.append(tuple(indices))
        bad = [index for index in indices if index in self.broken]
        if bad:
            raise MediaError(f"frame {bad[0]} at {bad[0] / 10} s is damaged")
        return [Frame(i, i / 10, self._picture(i)) for i in sorted(set(indices))]

    def thumbnails(self, indices: Sequence[int]) -> Thumbnails:
        kept = tuple(index for index in indices if index not in self.broken)
        return Thumbnails(kept, np.stack([self._picture(index) for index in kept]))

    def close(self) -> None: ...

    def _picture(self, index: int) -> np.ndarray:  # type: ignore[type-arg]
        return np.full((4, 4, 3), self.grays[index], dtype=np.uint8)


def opened(reel: Reel) -> Media:
    return Media("reel", "video", (), reel.info.duration_s, "reel.mp4", reel)


def brightness(prompt: Prompt) -> float:
    return float(prompt.frames[0].image[0, 0, 0]) / 255.0


def goes_on(prompt: Prompt) -> float:
    return float(prompt.frames[0].image[0, 0, 0] < 100 and max(f.image[0, 0, 0] for f in prompt.frames) > 100)


def build(
    engine: ScriptedEngine,
    constitution: Constitution = FRAMES_ONLY,
    report: Callable[[Progress], None] | None = None,
    **sampling: object,
) -> Judge:
    video = VideoSettings(sampling=SamplingSettings.model_validate({"max_gap_s": 2.0, **sampling}))
    config = JudgeConfig(thresholds=Thresholds(preset="none"), video=video)
    return Judge(engine, constitution, config, priors=PriorStore(), on_progress=report)


def shining(start: int, end: int, count: int = 80) -> Reel:
    """Dark, but bright in frames `start` up to but not including `end`; each frame a shade of its own."""
    return Reel([(250 - 8 * (n % 3) if start <= n < end else 8 * (n % 6)) for n in range(count)])


async def test_a_moment_is_found_to_the_frame_with_few_looks() -> None:
    seen: list[Progress] = []
    reel = shining(33, 52)
    engine = ScriptedEngine({"light": brightness})
    (verdict,) = await build(engine, report=seen.append).judge([opened(reel)])
    (segment,) = verdict.segments
    assert verdict.decision == "unsafe"
    assert (segment.rule_id, segment.category, segment.source) == ("lit", "harm", "frames")
    assert (segment.start_ms, segment.end_ms) == (3250, 5150)
    assert verdict.duration_ms == 8000
    assert verdict.n_frames is not None
    assert verdict.n_frames <= 20
    assert seen[-1] == Progress("reel.mp4", verdict.n_frames, 64)
    assert [p.judged for p in seen] == sorted({p.judged for p in seen})
    (timeline,) = verdict.timelines
    assert len(timeline.timestamps_ms) == verdict.n_frames
    assert verdict.rules[0].frame_index * 100 in segment.evidence_ms
    assert verdict.versions.video


async def test_a_calm_video_is_safe_and_says_how_it_was_looked_at() -> None:
    (verdict,) = await build(ScriptedEngine({"light": brightness})).judge([opened(shining(0, 0))])
    assert (verdict.decision, verdict.segments) == ("safe", ())
    assert any("of 80 frames were judged (adaptive)" in notice for notice in verdict.notices)


async def test_uniform_sampling_looks_once() -> None:
    reel = shining(33, 52)
    (verdict,) = await build(ScriptedEngine({"light": brightness}), strategy="uniform", frames=5).judge([opened(reel)])
    assert verdict.n_frames == 5
    assert reel.reads == [(0, 20, 40, 59, 79)]
    assert verdict.timelines[0].timestamps_ms == (0, 2000, 4000, 5900, 7900)


async def test_a_frame_that_cannot_be_read_keeps_a_video_from_being_safe() -> None:
    reel = shining(0, 0)
    reel.broken = frozenset({40})
    (verdict,) = await build(ScriptedEngine({"light": brightness}), strategy="keyframes").judge([opened(reel)])
    assert (verdict.decision, verdict.flagged) == ("uncertain", None)
    assert "frame 40 at 4.0 s is damaged" in verdict.reason
    assert verdict.n_frames == 7


async def test_what_is_violated_stays_so_whatever_else_is_damaged() -> None:
    reel = shining(0, 80)
    reel.broken = frozenset({40})
    (verdict,) = await build(ScriptedEngine({"light": brightness}), strategy="keyframes").judge([opened(reel)])
    assert verdict.decision == "unsafe"


async def test_a_video_of_which_nothing_can_be_read_is_uncertain() -> None:
    reel = Reel([10] * 30, broken=frozenset(range(30)))
    (verdict,) = await build(ScriptedEngine({"light": 0.0}), strategy="uniform").judge([opened(reel)])
    assert verdict.decision == "uncertain"
    assert verdict.reason == "lit is undecided: the video could not be read: frame 0 at 0.0 s is damaged"


async def test_an_engine_that_fails_half_way_leaves_the_video_uncertain_and_the_next_one_alone() -> None:
    def fails_on_bright(prompt: Prompt) -> float:
        if prompt.frames[0].image[0, 0, 0] > 100:
            raise EngineError("out of memory")
        return 0.0

    judge = build(ScriptedEngine({"light": fails_on_bright}))
    first, second = await judge.judge([opened(shining(33, 52)), opened(shining(0, 0))])
    assert (first.decision, second.decision) == ("uncertain", "safe")
    assert "the engine failed: out of memory" in first.reason


async def test_frames_that_look_alike_are_asked_about_once() -> None:
    engine = ScriptedEngine({"light": brightness})
    (verdict,) = await build(engine, strategy="fps", rate_hz=10).judge([opened(Reel([10] * 30 + [240] * 20))])
    assert [prompt.frames[0].index for call in engine.calls for prompt in call.prompts] == [0, 30]
    assert verdict.n_frames == 2
    (segment,) = verdict.segments
    assert (segment.start_ms, segment.end_ms) == (2950, 5000)


async def test_a_transition_is_asked_about_several_frames_at_once() -> None:
    engine = ScriptedEngine({"goes on": goes_on, "light is": 0.0})
    reel = shining(33, 80)
    (verdict,) = await build(engine, CONSTITUTION, strategy="uniform").judge([opened(reel)])
    asked = [p for call in engine.calls for p in call.prompts if "goes on" in p.messages[-1].text]
    assert [tuple(frame.index for frame in p.frames) for p in asked] == [(0, 9, 19, 29, 39), (39, 49, 59, 69, 79)]
    assert asked[0].layout.frame_labels == tuple(f"Frame {n}:" for n in range(1, 6))
    lit, flashing = verdict.rules
    assert (lit.outcome, flashing.outcome, flashing.stage) == ("not_violated", "violated", "clip")
    assert flashing.evidence[0].frame_indices == (0, 9, 19, 29, 39)
    (segment,) = verdict.segments
    assert (segment.start_ms, segment.end_ms, segment.source) == (0, 3900, "clip")


@pytest.mark.parametrize(
    ("engine", "reason"),
    [
        (ScriptedEngine({"light": 0.0}, capabilities=Capabilities(max_frames=1)), "takes one frame in a prompt"),
        (ScriptedEngine({"light is": 0.0, "goes on": EngineError("too long")}), "the engine failed: too long"),
    ],
)
async def test_what_cannot_be_asked_about_clips_is_open_and_nothing_else(engine: ScriptedEngine, reason: str) -> None:
    (verdict,) = await build(engine, CONSTITUTION).judge([opened(shining(0, 0))])
    lit, flashing = verdict.rules
    assert (lit.outcome, flashing.outcome) == ("not_violated", "abstained")
    assert reason in flashing.reason
    assert verdict.decision == "uncertain"


async def test_an_animation_has_no_pieces_to_ask_about() -> None:
    frames = tuple(Frame(n, n / 10, np.full((4, 4, 3), 10, np.uint8)) for n in range(3))
    animation = Media("gif", "video", frames, 0.3)
    (verdict,) = await build(ScriptedEngine({"light": 0.0}), CONSTITUTION).judge([animation])
    assert [rule.outcome for rule in verdict.rules] == ["not_violated", "abstained"]
    assert "video files only" in verdict.rules[1].reason


async def test_the_time_budget_ends_the_closer_looks() -> None:
    now = iter([0.0, 1.0, 99.0])
    settings = SamplingSettings(max_gap_s=2.0, time_budget_s=5.0)
    watcher = Watcher(shining(33, 52), settings, clock=lambda: next(now))
    frames = await watcher.first()
    suspicion: dict[int, float | None] = {frame.index: float(frame.image[0, 0, 0] > 100) for frame in frames}
    assert await watcher.closer([suspicion])
    assert await watcher.closer([suspicion]) == []
    assert watcher.over_time


async def test_no_more_frames_are_judged_than_may_be() -> None:
    reel = Reel([(n * 37) % 251 for n in range(600)])
    (verdict,) = await build(ScriptedEngine({"light": brightness}), max_frames=20, rounds=16).judge([opened(reel)])
    assert verdict.n_frames is not None
    assert verdict.n_frames <= 20


async def test_an_open_piece_is_debated_with_all_its_frames() -> None:
    engine = ScriptedEngine(
        {"You are the judge": 0.97, "The light goes on": 0.5, "A light is on": 0.0},
        generations={"You are the judge": "Yes, it goes on."},
        default_generation="It is dark, then bright.",
    )
    cascade = Cascade(debate=DebateSettings(enabled=True))
    config = JudgeConfig(thresholds=Thresholds(preset="none"), cascade=cascade)
    judge = Judge(engine, CONSTITUTION, config, priors=PriorStore())
    (verdict,) = await judge.judge([opened(shining(5, 30, count=30))])
    flashing = verdict.rules[1]
    assert (flashing.outcome, flashing.stage) == ("violated", "debate")
    (debate,) = flashing.evidence[-1].debates
    assert debate.answer == "Yes, it goes on."
    asked = [p for call in engine.calls for p in call.prompts if "You are" in p.messages[-1].text]
    assert {tuple(frame.index for frame in p.frames) for p in asked} == {(0, 7, 14, 21, 29)}
    assert all("statement about the video" in p.messages[-1].text for p in asked)
    assert verdict.segments[0].source == "clip"
