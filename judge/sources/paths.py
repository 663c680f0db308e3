"""From what a table says to a locator: a name in a table is not permission to read whatever it names."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from judge.errors import MediaError, quoted
from judge.media import FileMedia, UrlMedia
from judge.media.listing import VIDEO_SUFFIXES
from judge.sources.sample import Locator, RemoteFile
from judge.types import Modality

_SCHEME = re.compile(r"^([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
_STORES = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "hf", "oss", "r2"})
"""Object stores that a local table may name; other schemes only below a source of the same scheme."""


def url_scheme(text: str) -> str:
    """In lower case; empty for a path."""
    found = _SCHEME.match(text)
    return found.group(1).lower() if found else ""


def guess_modality(name: str) -> Modality:
    """By the suffix; what it really is shows when it is read."""
    bare = re.split(r"[?#]", name, maxsplit=1)[0] if url_scheme(name) else name
    return "video" if PurePosixPath(bare).suffix.lower() in VIDEO_SUFFIXES else "image"


@dataclass(frozen=True, slots=True)
class LocalPlace:
    """A folder of this machine that the names in a table are resolved below."""

    root: Path

    def locate(self, name: str) -> Locator:
        """The media a name stands for.

        Raises:
            MediaError: It lies outside the folder, does not exist, or is a URL that may not be named here.
        """
        if scheme := url_scheme(name):
            return _by_url(name, scheme)
        return FileMedia(path=file_below(self.root, name))


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """A folder behind a URL that fsspec reads. What it names is not looked for before it is read."""

    root: str

    def locate(self, name: str) -> Locator:
        """As `LocalPlace.locate`."""
        relative = name.replace("\\", "/")
        if scheme := url_scheme(name):
            start = f"{_bare(self.root)}/"
            if scheme != url_scheme(self.root) or not _bare(name).startswith(start):
                return _by_url(name, scheme)
            relative = _bare(name)[len(start) :]
        parts = PurePosixPath(relative).parts
        if not parts or relative.startswith("/") or ".." in parts or "\0" in relative or "::" in relative:
            raise MediaError(f"{quoted(name)} lies outside {quoted(self.root)}")
        return RemoteFile(url=f"{self.root.rstrip('/')}/{'/'.join(parts)}")


Place = LocalPlace | RemotePlace


def file_below(root: Path, name: str) -> Path:
    """An existing file that a name stands for; separators of either system.

    Raises:
        MediaError: It lies outside the folder, also by a link, or does not exist.
    """
    found = path_below(root, name)
    if not os.path.isfile(found) and "\\" in name:
        found = path_below(root, name.replace("\\", "/"))
    if not os.path.isfile(found):  # says no to names that are too long, where `Path.is_file` raises
        raise MediaError(f"{quoted(name)} is not a file" if os.path.exists(found) else f"{quoted(name)} does not exist")
    return found


def path_below(root: Path, name: str) -> Path:
    """What a name stands for, which need not exist.

    Raises:
        MediaError: It is empty or no possible path, or lies outside the folder, also by a link.
    """
    if not name.strip():
        raise MediaError("the name of the media is empty")
    try:
        path = Path(os.path.normpath(root / name))  # one spelling, so that what is named twice is seen
        inside = path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # a null character, a name too long, links in a circle
        raise MediaError(f"{quoted(name)} is no path: {getattr(error, 'strerror', None) or error}") from error
    if not inside:
        raise MediaError(f"{quoted(name)} lies outside '{root}'", hint="a wider root allows it")
    return path


def _bare(url: str) -> str:
    """Without scheme and slashes around: some stores write `memory:///a`, some `s3://a`."""
    return url.partition("://")[2].strip("/")


def _by_url(name: str, scheme: str) -> Locator:
    if scheme in ("http", "https"):
        return UrlMedia(url=name)
    if scheme in _STORES and "::" not in name:
        return RemoteFile(url=name)
    raise MediaError(f"{quoted(name)}: a table may not name media by '{scheme}://'")
