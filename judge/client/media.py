"""What a caller may hand over as media, as one kind of value."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from judge.client.wire import MediaItem
from judge.errors import ConfigError, quoted
from judge.media.fetch import fetch
from judge.media.reference import FileMedia, Permissions

Input = Path | bytes | str | Image.Image | MediaItem
"""A file, its bytes, an http(s) or `data:` URL, a picture of Pillow's, or media as the wire has it.

A string is never a path: whoever passes on a stranger's string does not hand over a file of this machine.
"""
_FILES = Permissions(files=True, max_bytes=2**30)
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Upload:
    """Media to send: `data`, or a `url` that the service shall fetch."""

    name: str
    text: str = ""
    data: bytes | None = None
    url: str | None = None

    def item(self) -> MediaItem:
        """As JSON has it."""
        data = None if self.data is None else base64.b64encode(self.data).decode("ascii")
        return MediaItem(data=data, url=self.url, name=self.name, text=self.text)


def to_uploads(media: Input | Sequence[Input], text: str | Sequence[str] = "") -> list[Upload]:
    """Read the files, write the pictures as PNG.

    Args:
        text: What was posted with all of them, or one for each.

    Raises:
        MediaError: A file cannot be read.
        ConfigError: Not one text for each, or something that cannot be media.
    """
    given = [media] if isinstance(media, Input) else list(media)
    texts = [text] * len(given) if isinstance(text, str) else list(text)
    if not given:
        raise ConfigError("there are no media to judge")
    if len(texts) != len(given):
        raise ConfigError(f"there are {len(texts)} texts for {len(given)} media", hint="give one text, or one for each")
    return [_upload(each, str(place), words) for place, (each, words) in enumerate(zip(given, texts, strict=True))]


def _upload(media: Input, place: str, text: str) -> Upload:
    match media:
        case MediaItem():
            return _from_item(media, place, text)
        case Path():
            return Upload(media.name[:_LONGEST_NAME], text, fetch(FileMedia(path=media), _FILES).data)
        case bytes():
            return Upload(place, text, media)
        case Image.Image():
            return Upload(place, text, _png(media))
        case str():
            return _from_address(media, place, text)
        case _:
            raise ConfigError(
                f"media cannot be a {type(media).__name__}", hint="give a Path, bytes, a URL or a picture"
            )


def _from_item(item: MediaItem, place: str, text: str) -> Upload:
    if item.url is not None:
        return Upload(item.name or place, item.text or text, url=item.url)
    return Upload(item.name or place, item.text or text, _decoded(item.data or ""))


def _from_address(address: str, place: str, text: str) -> Upload:
    scheme = address.partition(":")[0].lower()
    if scheme == "data":
        return Upload(place, text, _decoded(address))
    if scheme in ("http", "https"):
        return Upload(place, text, url=address)
    raise ConfigError(
        f"{quoted(address)} is neither an http(s) nor a data: URL", hint="give a file as pathlib.Path(...)"
    )


def _decoded(text: str) -> bytes:
    try:
        payload = text.partition(",")[2] if text[:5].lower() == "data:" else text
        return base64.b64decode("".join(payload.split()), validate=True)
    except ValueError as error:
        raise ConfigError("the media's data is not base64") from error


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    try:
        picture.save(file, "PNG")
    except OSError:
        # PNG knows fewer kinds of pixels than Pillow.
        picture.convert("RGB").save(file, "PNG")
    return file.getvalue()
