"""From a locator to encoded bytes. Permissions, size limits and address checks are those of `judge.media.fetch`."""

from __future__ import annotations

from judge.errors import MediaError
from judge.media import FileMedia, MediaBytes, Permissions, UrlMedia, fetch
from judge.sources.sample import Locator


def read_bytes(locator: Locator, permissions: Permissions) -> MediaBytes:
    """The encoded media.

    Raises:
        MediaError: It may not be read, cannot be read, is empty or too large.
    """
    match locator:
        case FileMedia() | UrlMedia():
            return fetch(locator, permissions)
        case _:
            raise MediaError(f"a {locator.kind} cannot be read yet")
