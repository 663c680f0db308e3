"""How a video is sampled, and how readings of its frames become moments."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from judge.config.base import Fraction, Settings, settings_digest

SamplingName = Literal["adaptive", "uniform", "fps", "every", "keyframes", "shots"]
Seconds = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class SamplingSettings(Settings):
    """Which frames are judged."""

    strategy: SamplingName = "adaptive"
    """`adaptive`: keyframes and the middle of every shot first, then densely where readings are high or undecided."""
    frames: Annotated[int, Field(ge=1)] = 5
    """`uniform`: how many. 5 = VHD11K."""
    rate_hz: Annotated[float, Field(gt=0.0, le=240.0)] = 2.0
    """`fps`: frames a second."""
    every: Annotated[int, Field(ge=1)] = 30
    """`every`: one in this many frames."""
    max_frames: Annotated[int, Field(ge=1)] = 64
    """Most frames judged of one video, whatever the strategy."""
    max_gap_s: Seconds = 2.0
    """`adaptive`: the first pass leaves no gap longer than this."""
    finest_s: Seconds = 0.1
    """`adaptive`: frames closer than this are not looked between."""
    suspicion: Fraction = 0.3
    """`adaptive`: rule scores from here on are looked at more closely, and whatever is undecided."""
    rounds: Annotated[int, Field(ge=0, le=16)] = 6
    """`adaptive`: how often it looks more closely."""
    change: Fraction = 0.06
    """`adaptive`: difference of two neighbouring thumbnails, of 1, in the part that differs most, from which something
    has come, gone or jumped: every stretch between such moments is looked at once."""
    shot_change: Fraction = 0.25
    """`shots`: mean difference of two thumbnails, of 1, from which a shot ends."""
    same_below: Fraction = 0.03
    """Frames whose thumbnails differ by less than this (of 1) in every part from a judged neighbour take over its
    readings; 0 = none do."""
    time_budget_s: Seconds | None = None
    """`adaptive`: seconds after which it looks no closer; None = no limit. With one, the same video may get another
    verdict on another day."""


class TimelineSettings(Settings):
    """From frame readings to segments."""

    smoothing_s: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.5
    """Half width of the window over which scores are averaged, in log-odds; 0 = not at all."""
    strong: Fraction = 0.95
    """A single frame with this score makes a segment by itself; 1 = never."""
    min_frames: Annotated[int, Field(ge=1)] = 1
    """Judged frames that a segment needs, unless one of them is strong. With 1, a frame that calm ones close by do not
    refute is enough; where frames are few and far between, there are none close by."""
    merge_gap_s: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 0.5
    """Segments of a rule that are closer than this become one."""


class ClipSettings(Settings):
    """Questions about several frames in one prompt, for rules whose harm lies in the action."""

    frames: Annotated[int, Field(ge=2, le=32)] = 5
    """Frames of one question, in order, numbered. 5 = VHD11K."""
    window_s: Seconds = 4.0
    """Length of the piece of video that one question is about; longer videos are asked about piece by piece."""
    max_windows: Annotated[int, Field(ge=1)] = 8
    """Most pieces of one video."""


class DecodingSettings(Settings):
    """What decoding one file may cost. It happens in a child process that is killed beyond these limits."""

    decoder: Literal["auto", "pyav", "decord"] = "auto"
    """`auto`: the faster one here by benchmarks/video.py."""
    memory_mb: Annotated[int, Field(ge=64)] = 1024
    """Memory of the child beyond what its libraries take."""
    cpu_s: Seconds = 60.0
    """CPU seconds of the child."""
    wall_s: Seconds = 120.0
    """Seconds until it is killed."""
    max_duration_s: Seconds = 4 * 3600.0
    """Longer videos are refused."""
    max_pixels: Annotated[int, Field(ge=1)] = 16_000_000
    """Width times height of a frame; more is refused. 16 million: 5,333 x 3,000."""
    max_side_px: Annotated[int, Field(ge=16)] = 1024
    """Frames are scaled down to this on their longer side, in the child."""
    max_bytes: Annotated[int, Field(ge=1)] = 512 * 2**20
    """Size of the file, which is held in memory; more is refused. `judge score` reads no input that is larger."""


class VideoSettings(Settings):
    """Everything about videos. All of it but the decoder's limits changes verdicts."""

    sampling: SamplingSettings = SamplingSettings()
    """Which frames are judged."""
    timeline: TimelineSettings = TimelineSettings()
    """From frame readings to segments."""
    clips: ClipSettings = ClipSettings()
    """For rules with `scope: clip`."""
    decoding: DecodingSettings = DecodingSettings()
    """Limits of the decoder."""

    @property
    def digest(self) -> str:
        """sha256 (hex) of all fields."""
        return settings_digest(self)
