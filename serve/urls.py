"""Which URLs callers may name. Addresses are checked when a URL is fetched, at every redirect: see `judge.media`."""

from __future__ import annotations

import httpx

from judge.errors import quoted
from judge.media import Permissions
from judge.media.hosts import host_allowed
from serve.problems import ApiError
from serve.settings import HttpSettings

_HINT = "send the media's bytes instead"


def media_permissions(http: HttpSettings) -> Permissions:
    """What a backend may read for the service's callers."""
    urls = http.urls
    return Permissions(
        urls=urls.enabled, hosts=urls.hosts, max_bytes=http.max_media_bytes, timeout_s=urls.timeout_s
    )  # fmt: skip


def check_url(url: str, http: HttpSettings) -> None:
    """Refuse a URL by its text alone, before anything is judged.

    Raises:
        ApiError: 422, if URLs are off or the host is not on the list.
    """
    if not http.urls.enabled:
        raise ApiError(422, "url_not_allowed", "media by URL are off here", hint=_HINT, param="media")
    try:
        host = httpx.URL(url).raw_host.decode("ascii")
    except httpx.InvalidURL as error:
        raise ApiError(422, "invalid_url", "the media's url is not a URL", param="media") from error
    if not host_allowed(host, http.urls.hosts):
        message = f"host {quoted(host)} is not on the list of allowed hosts"
        raise ApiError(422, "url_not_allowed", message, hint=_HINT, param="media")
