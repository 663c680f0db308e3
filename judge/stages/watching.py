"""Looks at one video: reads the frames that the sampling strategy wants, round after round, within the budget.

Not here: which frames those are (`judge.media.sampling`), what is asked about them (`judge.pipeline`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from judge.config import SamplingSettings
from judge.errors import MediaError
from judge.media.likeness import same_as
from judge.media.sampling import closer_frames, first_frames, thin, wants_thumbnails
from judge.types import Frame, FrameSource, Thumbnails

_THUMBNAIL = (32, 18)
"""Width and height in px, whatever the shape of the picture: they are only compared with each other."""


class Watcher:
    """Reads one open video; one at a time.

    Attributes:
        damaged: Why frames that were wanted could not be read, in order; what they show is not known.
        taken_over: Near-duplicates, which are not judged -> the judged frame whose readings count for them.
        over_time: The time budget ended the looking.

    Args:
        source: Stays the caller's to close.
        settings: How it is sampled.
        clock: Monotonic seconds.
    """

    def __init__(
        self, source: FrameSource, settings: SamplingSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._source = source
        self._settings = settings
        self._clock = clock
        self._began_s = clock()
        self._rounds = 0
        self._thumbnails: Thumbnails | None = None
        self._small: dict[int, NDArray[np.uint8]] = {}
        self._tried: set[int] = set()
        self.damaged: list[str] = []
        self.taken_over: dict[int, int] = {}
        self.over_time = False

    async def first(self) -> list[Frame]:
        """The frames of the first pass.

        Raises:
            MediaError: Not one frame can be read.
        """
        wanted = wants_thumbnails(self._source.info, self._settings)
        if wanted:
            self._thumbnails = await asyncio.to_thread(self._read_thumbnails, wanted)
        frames = await self._read(first_frames(self._source.info, self._settings, self._thumbnails), judged=())
        if not frames:
            raise MediaError(self.damaged[0] if self.damaged else "the video has no frames")
        return frames

    async def closer(self, suspicions: Sequence[Mapping[int, float | None]]) -> list[Frame]:
        """The frames of the next round; none when there is nothing left to learn, or the budget is spent.

        Args:
            suspicions: Rule by rule, its score on every judged frame, by index; None where it is undecided. Each rule
                has moments of its own, whose ends are looked for.
        """
        limit_s = self._settings.time_budget_s
        if self._rounds >= self._settings.rounds:
            return []
        if limit_s is not None and self._clock() - self._began_s >= limit_s:
            self.over_time = True
            return []
        self._rounds += 1
        judged = sorted({index for suspicion in suspicions for index in suspicion})
        wanted = {index for suspicion in suspicions for index in self._wanted(suspicion)}
        room = max(0, self._settings.max_frames - len(self._tried))
        frames = await self._read(thin(sorted(wanted), room) if wanted and room else (), judged)
        if wanted and room and not frames:  # only near-duplicates, or damage: what they tell may still lead on
            return await self.closer(suspicions)
        return frames

    def _wanted(self, suspicion: Mapping[int, float | None]) -> tuple[int, ...]:
        known = dict(suspicion)
        known |= {index: suspicion.get(judged) for index, judged in self.taken_over.items()}
        known |= {index: None for index in self._tried if index not in known}
        return closer_frames(self._source.info, self._settings, known, self._thumbnails)

    def _read_thumbnails(self, wanted: Sequence[int]) -> Thumbnails | None:
        """None if none can be had: frames are then chosen without."""
        try:
            return self._source.thumbnails(wanted)
        except MediaError as error:
            self.damaged.append(error.message)
            return None

    async def _read(self, indices: Sequence[int], judged: Sequence[int]) -> list[Frame]:
        """Those of the frames that can be read and are no near-duplicates of judged ones."""
        new = [index for index in indices if index not in self._tried]
        self._tried.update(new)
        frames = await asyncio.to_thread(self._decode, new)
        if self._settings.same_below <= 0.0:
            return frames
        self._small |= {frame.index: _thumbnail(frame) for frame in frames}
        order = sorted({*judged, *(frame.index for frame in frames)} & self._small.keys())
        if not order:
            return frames
        small = Thumbnails(tuple(order), np.stack([self._small[index] for index in order]))
        found = same_as(small, order, self._settings.same_below, judged=judged)
        self.taken_over |= found
        return [frame for frame in frames if frame.index not in found]

    def _decode(self, indices: Sequence[int]) -> list[Frame]:
        """All in one pass; if that fails, one by one, so that only damaged frames are missing."""
        if not indices:
            return []
        try:
            return self._source.read(indices)
        except MediaError as error:
            if len(indices) == 1:
                self.damaged.append(error.message)
                return []
        return [frame for index in indices for frame in self._decode([index])]


def _thumbnail(frame: Frame) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(frame.image).resize(_THUMBNAIL, Image.Resampling.BOX))
