"""Small pictures as data URLs."""

from __future__ import annotations

import base64
import io
from typing import Literal

from PIL import Image

from judge.types import Frame

THUMBNAIL_PX = 160
"""Longest side."""
_JPEG_QUALITY = 60
"""Noise, the worst case, makes 13 kB of 160 x 160 px."""


def thumbnail(frame: Frame, kind: Literal["PNG", "JPEG"] = "PNG") -> str:
    """A data URL of the picture, made smaller where it is larger."""
    picture = Image.fromarray(frame.image)
    picture.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **({"quality": _JPEG_QUALITY} if kind == "JPEG" else {}))
    return f"data:image/{kind.lower()};base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
