"""A video that can be looked into again: what is known of it without decoding, and how its frames are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from judge.types.media import Frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Read from the container; one keyframe is decoded, to see how pictures are turned.

    Attributes:
        timestamps_s: When each frame is shown, ascending, the first at 0.0; rates may vary.
        keyframes: Positions in `timestamps_s` of frames that decode by themselves, ascending.
        duration_s: At least the last timestamp.
        width_px: As shown, i.e. after rotation.
        height_px: As shown.
        rotation_deg: Clockwise, already applied to every frame that is read.
        container: `mp4`, `webm`...
        codec: `h264`, `vp9`...
    """

    timestamps_s: tuple[float, ...]
    keyframes: tuple[int, ...]
    duration_s: float
    width_px: int
    height_px: int
    rotation_deg: int = 0
    container: str = ""
    codec: str = ""


@dataclass(frozen=True, slots=True)
class Thumbnails:
    """Small pictures: `images (n, height, width, 3) uint8 RGB` of the frames at `indices`, ascending."""

    indices: tuple[int, ...]
    images: NDArray[np.uint8]


class FrameSource(Protocol):
    """An open video. Not thread-safe: one reader at a time.

    Contract: `Frame.index` is the position in `info.timestamps_s`, `Frame.timestamp_s` the time there. Frames are
    upright RGB, scaled down to the decoder's limit. A file whose header is sound may still be damaged further in:
    `read` then raises `MediaError` naming the time, and the frames that were read before stay valid.
    """

    @property
    def info(self) -> VideoInfo: ...

    def read(self, indices: Sequence[int]) -> list[Frame]:
        """The frames at these positions, ascending and each once, whatever the order of `indices`.

        Raises:
            MediaError: One of them cannot be decoded within the limits.
        """

    def thumbnails(self, indices: Sequence[int]) -> Thumbnails:
        """Small pictures of these frames, 32 px wide, for comparing; those that cannot be decoded are left out.

        Raises:
            MediaError: The decoder failed altogether.
        """

    def close(self) -> None:
        """Ends the decoder's process; may be called twice."""
