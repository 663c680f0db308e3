"""The frames of a video as they are counted: how many there are, and when each is shown. Nothing is decoded here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from judge.metrics import Floats
from judge.types import VideoInfo, Wire

MOST_FRAMES = 1_000_000
"""A video with more is refused by the decoder."""
Ms = Annotated[int, Field(ge=0)]


class VideoFrames(Wire):
    """When the frames of one video are shown."""

    count: int = Field(ge=1, le=MOST_FRAMES)
    """How many there are."""
    rate_hz: float = Field(gt=0.0, allow_inf_nan=False)
    """Frames a second; where they are not evenly spread, on average."""
    times_ms: tuple[Ms, ...] = ()
    """When each is shown, ascending; empty where they are evenly spread."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.times_ms and (len(self.times_ms) != self.count or np.any(np.diff(self.times_ms) < 0)):
            raise ValueError("times_ms must have an entry for each frame, ascending")
        return self

    @classmethod
    def of(cls, info: VideoInfo) -> Self:
        """Frames count as evenly spread if each is shown within half a step of its place."""
        times_s = np.array(info.timestamps_s, dtype=np.float64)
        count, last_s = len(times_s), float(times_s[-1])
        if count == 1 or last_s <= 0.0:
            return cls(count=count, rate_hz=count / info.duration_s if info.duration_s > 0.0 else 1.0)
        step_s = last_s / (count - 1)
        even = np.abs(times_s - np.arange(count) * step_s).max() < step_s / 2.0
        times_ms = () if even else tuple(round(float(each) * 1000.0) for each in times_s)
        return cls(count=count, rate_hz=(count - 1) / last_s, times_ms=times_ms)

    def shown_ms(self) -> Floats:
        """When each frame is shown."""
        if self.times_ms:
            return np.array(self.times_ms, dtype=np.float64)
        return np.round(np.arange(self.count) * (1000.0 / self.rate_hz), 3)

    @property
    def end_ms(self) -> float:
        """A step after the last frame."""
        return float(self.shown_ms()[-1]) + 1000.0 / self.rate_hz


def nearest(moments_ms: Sequence[float] | Floats, frames_ms: Floats) -> NDArray[np.intp]:
    """For every frame the place of the moment nearest to it in time; of two as near, the later.

    A moment stands for the time from halfway to the one before it up to halfway to the one after it, as in a `Segment`.
    """
    times = np.asarray(moments_ms, dtype=np.float64)
    return np.searchsorted((times[1:] + times[:-1]) / 2.0, frames_ms, side="right")
