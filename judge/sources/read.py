"""From a locator to encoded bytes. Permissions, size limits and address checks are those of `judge.media.fetch`."""

from __future__ import annotations

from typing import assert_never

from judge.errors import ConfigError, MediaError
from judge.media import FileMedia, MediaBytes, Permissions, UrlMedia, fetch
from judge.sources.cells import read_cell
from judge.sources.paths import url_scheme
from judge.sources.remote import file_system
from judge.sources.sample import Locator, NoMedia, RemoteFile, TableCell, TarMember


def read_bytes(locator: Locator, permissions: Permissions) -> MediaBytes:
    """The encoded media. Archives, tables and what fsspec reads are allowed with `permissions.files`.

    Raises:
        MediaError: It may not be read, cannot be read, is empty or too large.
    """
    match locator:
        case FileMedia() | UrlMedia():
            return fetch(locator, permissions)
        case TarMember():
            named = f"{locator.path}!{locator.name}"
            _allow(named, permissions)
            _check_size(named, locator.n_bytes, permissions)
            data = _tar_member(locator, named)
        case TableCell():
            named = f"{locator.path}!{locator.column}[{locator.row}]"
            _allow(named, permissions)
            data = read_cell(locator)
        case RemoteFile():
            named = locator.url
            _allow(named, permissions)
            data = _remote(locator, permissions)
        case NoMedia():
            raise MediaError("the row leads to no media")
        case _:
            assert_never(locator)
    _check_size(named, len(data), permissions)
    return MediaBytes(data, named)


def _allow(named: str, permissions: Permissions) -> None:
    if not permissions.files:
        raise MediaError(f"'{named}' may not be read: files are off here")


def _check_size(named: str, n_bytes: int, permissions: Permissions) -> None:
    if not n_bytes:
        raise MediaError(f"'{named}' is empty")
    if n_bytes > permissions.max_bytes:
        raise MediaError(f"'{named}' is larger than the limit of {permissions.max_bytes:,} bytes")


def _tar_member(member: TarMember, named: str) -> bytes:
    try:
        if not member.path.is_file():
            raise MediaError(f"archive '{member.path}' does not exist")
        with member.path.open("rb") as file:
            file.seek(member.offset)
            data = file.read(member.n_bytes)
    except (OSError, ValueError) as error:
        raise MediaError(f"'{named}' cannot be read: {error}") from error
    if len(data) < member.n_bytes:
        raise MediaError(f"'{named}' is cut off: the archive ends within it")
    return data


def _remote(remote: RemoteFile, permissions: Permissions) -> bytes:
    if url_scheme(remote.url) in ("http", "https"):  # fsspec would ask any address
        return fetch(UrlMedia(url=remote.url), permissions).data
    try:
        fs, path = file_system(remote.url)
        size = fs.size(path)
        if size is not None:
            _check_size(remote.url, int(size), permissions)
        with fs.open(path, "rb") as file:
            return bytes(file.read(permissions.max_bytes + 1))
    except MediaError:
        raise
    except ConfigError as error:
        raise MediaError(f"'{remote.url}': {error.message}", hint=error.hint) from error
    except Exception as error:  # every file system has errors of its own
        raise MediaError(f"'{remote.url}' cannot be read: {error or type(error).__name__}") from error
