"""Media: what names it, how it is read, and how it becomes frames. `load_media` does it all."""

from judge.media.fetch import fetch
from judge.media.image import DEFAULT_LIMITS, ImageLimits, decode_image
from judge.media.inputs import FailedInput, FoundInput, Input, expand_inputs
from judge.media.load import load_media
from judge.media.reference import FileMedia, InlineMedia, MediaBytes, MediaRef, Permissions, UrlMedia
from judge.media.video import DEFAULT_DECODING, VideoFile, open_video

__all__ = [
    "DEFAULT_DECODING",
    "DEFAULT_LIMITS",
    "FailedInput",
    "FileMedia",
    "FoundInput",
    "ImageLimits",
    "InlineMedia",
    "Input",
    "MediaBytes",
    "MediaRef",
    "Permissions",
    "UrlMedia",
    "VideoFile",
    "decode_image",
    "expand_inputs",
    "fetch",
    "load_media",
    "open_video",
]
