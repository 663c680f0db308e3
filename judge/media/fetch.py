"""From a reference to encoded bytes: the ONLY file that opens a path or a URL.

`dial` makes its connections and `listing` names files without opening them. What the bytes are is not decided here,
and never from a suffix or a Content-Type header: see `signature`.
"""

from __future__ import annotations

import os
import re
import stat
from http import HTTPStatus
from pathlib import Path
from typing import assert_never

import httpcore
import httpx

from judge.errors import MediaError, quoted
from judge.media.dial import PUBLIC_INTERNET, CheckedBackend, Deadline, Network
from judge.media.hosts import host_allowed
from judge.media.reference import FileMedia, InlineMedia, MediaBytes, MediaRef, Permissions, UrlMedia

_MAX_URL_CHARACTERS = 8192
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_KINDS_OF_FILE = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def fetch(ref: MediaRef, permissions: Permissions, *, network: Network = PUBLIC_INTERNET) -> MediaBytes:
    """Read the media that `ref` names, if `permissions` allow its kind.

    Raises:
        MediaError: if it is not allowed, cannot be read, is empty, or is larger than `permissions.max_bytes`.
    """
    match ref:
        case InlineMedia():
            named, found = f"inline media {ref.name!r}", MediaBytes(ref.data, ref.name)
        case FileMedia():
            named = f"file {str(ref.path)!r}"
            _allow(permissions.files, named, "files")
            found = MediaBytes(_read_file(ref.path, named, permissions.max_bytes), str(ref.path))
        case UrlMedia():
            shown = shown_url(ref.url)
            named = f"URL {shown!r}"
            _allow(permissions.urls, named, "URLs")
            found = MediaBytes(_download(ref.url, named, permissions, network), shown)
        case _:
            assert_never(ref)
    if not found.data:
        raise MediaError(f"{named} is empty")
    _check_size(len(found.data), named, permissions.max_bytes)
    return found


def shown_url(url: str) -> str:
    """The URL as messages show it: without user name, query and fragment, which may hold secrets."""
    plain = re.split(r"[?#]", url, maxsplit=1)[0]
    return re.sub(r"(?<=//)[^/]*@", "", plain)[:200]


def _allow(allowed: bool, named: str, kind: str) -> None:
    if not allowed:
        raise MediaError(f"{named} may not be read: {kind} are off here", hint="send the media's bytes instead")


def _check_size(n_bytes: int, named: str, max_bytes: int) -> None:
    if n_bytes > max_bytes:
        raise MediaError(f"{named} is larger than the limit of {max_bytes:,} bytes")


# --- files --------------------------------------------------------------------------------------------------


def _read_file(path: Path, named: str, max_bytes: int) -> bytes:
    try:
        _check_regular(os.stat(path), named)
        # What the path names may have changed since: opened without waiting, for a pipe, and looked at once more.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            _check_regular(status, named)
            _check_size(status.st_size, named, max_bytes)
            return file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise MediaError(f"{named} does not exist") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MediaError(f"{named} cannot be read: {reason}") from error


def _check_regular(status: os.stat_result, named: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((kind for test, kind in _KINDS_OF_FILE if test(status.st_mode)), "something else")
        raise MediaError(f"{named} is {kind}, not a file")


# --- URLs ---------------------------------------------------------------------------------------------------


def _download(text: str, named: str, permissions: Permissions, network: Network) -> bytes:
    try:
        backend = CheckedBackend(network, Deadline(permissions.timeout_s))
        url = _parse(text)
        # No kept connection: every hop looks its host up and checks it.
        with httpcore.ConnectionPool(
            ssl_context=network.tls(), max_keepalive_connections=0, network_backend=backend
        ) as pool:
            for _ in range(permissions.max_redirects + 1):
                _check_host(url, permissions)
                body, location = _get(pool, url, permissions.max_bytes)
                if location is None:
                    return body
                url = _parse(location, base=url)
        raise MediaError(f"redirected more than {permissions.max_redirects} times")
    except MediaError as error:
        raise MediaError(f"{named}: {error.message}", hint=error.hint) from error
    except httpcore.TimeoutException as error:
        raise MediaError(f"{named}: took longer than {permissions.timeout_s:g} s", hint="try again later") from error
    except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol, ValueError) as error:
        raise MediaError(f"{named}: the transfer failed: {error or type(error).__name__}") from error


def _parse(text: str, base: httpx.URL | None = None) -> httpx.URL:
    """A URL that may be asked for, as far as its text shows; relative to `base` if there is one."""
    try:
        if len(text) > _MAX_URL_CHARACTERS:
            raise MediaError(f"the URL is longer than {_MAX_URL_CHARACTERS} characters")
        url = httpx.URL(text) if base is None else base.join(text)
    except httpx.InvalidURL as error:
        raise MediaError(f"not a valid URL: {error}") from error
    where = "" if base is None else f"redirected to {shown_url(str(url))!r}: "
    if url.scheme not in ("http", "https"):
        raise MediaError(f"{where}only http and https are fetched, not {url.scheme!r}")
    if url.userinfo:
        raise MediaError(f"{where}the URL carries a user name or password", hint="remove the part before the @")
    if not url.raw_host or b"%" in url.raw_host or (url.port is not None and not 0 < url.port < 2**16):
        raise MediaError(f"{where}not a valid host and port")
    return url


def _check_host(url: httpx.URL, permissions: Permissions) -> None:
    host = url.raw_host.decode("ascii")
    if not host_allowed(host, permissions.hosts):
        raise MediaError(
            f"host {quoted(host)} is not on the list of allowed hosts", hint="send the media's bytes instead"
        )


def _get(pool: httpcore.ConnectionPool, url: httpx.URL, max_bytes: int) -> tuple[bytes, str | None]:
    """One request: either the body, or where it is redirected to."""
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    headers: list[tuple[bytes | str, bytes | str]] = [
        ("Host", url.netloc),
        ("User-Agent", "visual-judge"),
        ("Accept", "*/*"),
        ("Accept-Encoding", "identity"),
    ]
    with pool.stream("GET", target, headers=headers) as response:
        answer = {name.lower(): value for name, value in response.headers}
        if response.status in _REDIRECTS and b"location" in answer:
            return b"", answer[b"location"].decode("latin-1")
        _check_answer(response.status, answer, max_bytes)
        return _body(response, max_bytes), None


def _check_answer(status: int, headers: dict[bytes, bytes], max_bytes: int) -> None:
    if status != HTTPStatus.OK:
        known = status in HTTPStatus._value2member_map_
        raise MediaError(f"the server answered {status}{' ' + HTTPStatus(status).phrase if known else ''}")
    encoding = headers.get(b"content-encoding", b"identity").decode("latin-1")
    if encoding.lower() != "identity":
        raise MediaError(f"the server sent {encoding!r} compression, which was not asked for")
    length = headers.get(b"content-length", b"")
    if length.isdigit():
        _check_size(int(length), "the answer", max_bytes)


def _body(response: httpcore.Response, max_bytes: int) -> bytes:
    body = bytearray()
    for chunk in response.iter_stream():
        body += chunk
        _check_size(len(body), "the answer", max_bytes)
    return bytes(body)
