"""From decoded media to the pictures that a detector of single pictures is shown. Not here: decoding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from judge.errors import MediaError
from judge.media.image import sample_evenly
from judge.types import Frame, Media, Modality

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES: frozenset[Modality] = frozenset({"image"})
_LONGEST_RATIO = 100


def why_not(media: Media) -> str:
    """Why a detector of pictures abstains; empty if it need not.

    An animation is a handful of pictures. A video file is not: which of its moments to look at is a decision of its
    own, and none of these detectors was published with one.
    """
    if media.video is not None:
        return "it is a video: this detector takes pictures and animations"
    if media.kind == "text":
        return "it is text: this detector takes pictures and animations"
    return ""


def frames_of(media: Media, most: int) -> tuple[Frame, ...]:
    """At most so many frames, evenly spread.

    Raises:
        MediaError: There is no frame, or one is not `(height, width, 3) uint8` with pixels in it.
    """
    if not media.frames:
        raise MediaError(f"'{media.source}' has no picture")
    frames = tuple(media.frames[place] for place in sample_evenly(len(media.frames), most))
    for frame in frames:
        pixels = frame.image
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != "uint8" or 0 in pixels.shape:
            shape = f"{pixels.dtype} {pixels.shape}"
            raise MediaError(f"'{media.source}': frame {frame.index} is no RGB picture: {shape}")
    return frames


def picture_of(frame: Frame) -> Image:
    """As RGB.

    Raises:
        MediaError: It is so long and thin that a classifier, which first enlarges the short side, would need gigabytes.
    """
    from PIL import Image  # noqa: PLC0415 - importing this package stays light

    height, width = frame.image.shape[:2]
    if max(height, width) > _LONGEST_RATIO * min(height, width):
        raise MediaError(f"{width} x {height} pixels: more than {_LONGEST_RATIO} times as long as wide")
    return Image.fromarray(frame.image)
