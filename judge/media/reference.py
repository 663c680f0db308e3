"""What names a piece of media, and what a caller may read. Nothing here opens anything: see `fetch`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from judge.types import Wire


class InlineMedia(Wire):
    """Media given as its bytes; base64 in JSON."""

    model_config = ConfigDict(val_json_bytes="base64", ser_json_bytes="base64")

    kind: Literal["inline"] = "inline"
    """Tag of the union."""
    data: bytes = Field(repr=False)
    """The encoded file, e.g. a whole JPEG."""
    name: str = "inline"
    """What messages call it."""


class UrlMedia(Wire):
    """Media behind an http or https URL."""

    kind: Literal["url"] = "url"
    """Tag of the union."""
    url: str
    """As the caller wrote it; checked when it is fetched."""


class FileMedia(Wire):
    """Media in a file of this machine."""

    kind: Literal["file"] = "file"
    """Tag of the union."""
    path: Path
    """As the caller wrote it; checked when it is fetched."""


MediaRef = Annotated[InlineMedia | UrlMedia | FileMedia, Field(discriminator="kind")]
"""Names media. Naming it is not permission to read it: that is `Permissions`."""


class Permissions(Wire):
    """What an entry point lets its callers read. Inline data is always allowed; the rest is off by default."""

    files: bool = False
    """Files of this machine."""
    urls: bool = False
    """http and https URLs on public addresses."""
    hosts: tuple[str, ...] = ("*",)
    """Hosts that URLs and their redirects may name, as `host_allowed` reads them; by default every one."""
    max_bytes: int = Field(default=64 * 2**20, gt=0)
    """Largest encoded size, whatever the source."""
    timeout_s: float = Field(default=20.0, gt=0)
    """Wall clock for one URL: names, connections, redirects and the whole body together."""
    max_redirects: int = Field(default=3, ge=0)
    """Redirects followed for one URL."""


@dataclass(frozen=True, slots=True)
class MediaBytes:
    """Encoded media. `source` says where it came from, for people: path, URL without its query, or name."""

    data: bytes
    source: str
