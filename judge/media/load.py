"""From a reference to decoded media: fetch, see what it is, decode."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from judge.config import DecodingSettings
from judge.media.dial import PUBLIC_INTERNET, Network
from judge.media.fetch import fetch
from judge.media.image import DEFAULT_LIMITS, ImageLimits, decode_image
from judge.media.reference import MediaRef, Permissions
from judge.media.sampling import uniform
from judge.media.signature import sniff
from judge.media.video import DEFAULT_DECODING, open_video
from judge.types import Media


def load_media(
    ref: MediaRef,
    permissions: Permissions,
    limits: ImageLimits = DEFAULT_LIMITS,
    *,
    network: Network = PUBLIC_INTERNET,
    decoding: DecodingSettings = DEFAULT_DECODING,
) -> Media:
    """Read and decode the media that `ref` names.

    A video comes open and without frames: `Media.video` is the caller's to close.

    Raises:
        MediaError: if it may not be read, cannot be read, or cannot be decoded.
    """
    found = fetch(ref, permissions, network=network)
    if sniff(found.data).kind == "video":
        return open_video(found.data, source=found.source, limits=decoding)
    return decode_image(found.data, source=found.source, limits=limits)


def load_frames(
    ref: MediaRef,
    permissions: Permissions,
    n_frames: int,
    *,
    decoding: DecodingSettings = DEFAULT_DECODING,
) -> Media:
    """The same with all pixels in memory and nothing to close: of a video, `n_frames` frames evenly spread over time.

    Raises:
        MediaError: as `load_media`, or one of the frames cannot be decoded.
    """
    media = load_media(ref, permissions, decoding=decoding)
    if media.video is None:
        return media
    with closing(media.video) as video:
        return replace(media, frames=tuple(video.read(uniform(video.info, n_frames))), video=None)
