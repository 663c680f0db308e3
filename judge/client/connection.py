"""Where the service is, and what goes along with every call."""

from __future__ import annotations

import httpx

from judge import __version__
from judge.errors import ConfigError


def service_url(text: str) -> str:
    """Raises `ConfigError` if it is not an address of a service. What it may hold of secrets is not repeated."""
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ConfigError("the service's address is not a URL") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigError("the service's address is not an http or https URL", hint="e.g. http://127.0.0.1:8000")
    return str(url)


def headers(api_key: str | None) -> dict[str, str]:
    """Raises `ConfigError` if the key cannot be sent."""
    found = {"User-Agent": f"visual-judge/{__version__}"}
    if api_key is None:
        return found
    if not api_key or not api_key.isascii() or not api_key.isprintable():
        raise ConfigError("the API key is empty, or has characters that no key has")
    return {**found, "Authorization": f"Bearer {api_key}"}
