"""Which hosts a URL may name, by a list of patterns. Says nothing of addresses: see `address`."""

from __future__ import annotations

from collections.abc import Sequence


def host_allowed(host: str, patterns: Sequence[str]) -> bool:
    """Whether a host is on the list.

    A pattern is a host name, `*.example.org` for everything below `example.org` (not itself), or `*` for every host.
    Names outside ASCII are listed as they go over the wire (`xn--...`).
    """
    name = _plain(host)
    return bool(name) and any(_fits(name, _plain(pattern)) for pattern in patterns)


def _fits(name: str, pattern: str) -> bool:
    if pattern == "*":
        return True
    if pattern.startswith("*."):
        return name.endswith(pattern[1:]) and len(name) > len(pattern) - 1
    return name == pattern


def _plain(host: str) -> str:
    return host.lower().removesuffix(".")
