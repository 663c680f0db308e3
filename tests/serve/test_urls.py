"""Media by URL over the real gateway: off by default, listed hosts only, no private address, redirects included."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import pytest
from pydantic import ValidationError

from judge.media import fetch
from judge.media.dial import Network
from serve import service
from serve.settings import HttpSettings, UrlSettings
from serve.urls import media_permissions
from tests.media.serving import Site, body, local_network, redirect, serve

from .gateways import client, picture, settings

LISTED = settings(
    http={"urls": {"enabled": True, "hosts": ["media.example", "*.cdn.example"]}, "max_media_bytes": 1000}
)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Every host name leads to a server here, which is let through; other addresses are as always."""
    monkeypatch.setattr(service, "fetch", partial(fetch, network=local_network()))
    with serve() as running:
        running.answers["/a.png"] = body(picture())
        yield running


def by_url(*urls: str) -> dict[str, object]:
    return {"media": [{"url": url} for url in urls]}


async def test_urls_are_off(site: Site) -> None:
    async with client() as http:
        answer = await http.post("/v1/judge", json=by_url(site.url("/a.png", "media.example")))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["message"]) == (
        422,
        "url_not_allowed",
        "media by URL are off here",
    )
    assert site.asked == []


@pytest.mark.parametrize("host", ["media.example", "MEDIA.example", "a.cdn.example", "a.b.cdn.example"])
async def test_a_listed_host(site: Site, host: str) -> None:
    async with client(asked=LISTED) as http:
        answer = await http.post("/v1/judge", json=by_url(site.url("/a.png", host)))
    assert answer.json()["results"][0]["decision"] == "safe"


@pytest.mark.parametrize(
    "host",
    ["other.example", "cdn.example", "xcdn.example", "media.example.evil.example", "127.0.0.1", "localhost", "[::1]"],
)
async def test_a_host_that_is_not_listed(site: Site, host: str) -> None:
    async with client(asked=LISTED) as http:
        answer = await http.post(
            "/v1/judge", json=by_url(site.url("/a.png", "media.example"), site.url("/a.png", host))
        )
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "url_not_allowed")
    assert site.asked == []


@pytest.mark.parametrize(
    "url", ["", "a.png", "http://", "http://[", "file:///etc/passwd", "http://media.example:99999999/"]
)
async def test_what_is_no_url(site: Site, url: str) -> None:
    async with client(asked=LISTED) as http:
        answer = await http.post("/v1/judge", json=by_url(url))
    assert answer.status_code == 422
    assert "httpx" not in answer.text


async def test_redirects_to_listed_hosts_only(site: Site) -> None:
    site.answers["/to-listed"] = redirect(site.url("/a.png", "x.cdn.example"))
    site.answers["/to-other"] = redirect(site.url("/a.png", "other.example"))
    site.answers["/to-private"] = redirect("http://169.254.169.254/latest/meta-data")
    async with client(asked=LISTED) as http:
        answers = [
            await http.post("/v1/judge", json=by_url(site.url(f"/to-{kind}", "media.example")))
            for kind in ("listed", "other", "private")
        ]
    assert [answer.status_code for answer in answers] == [200, 422, 422]
    assert "'other.example' is not on the list of allowed hosts" in answers[1].json()["error"]["message"]
    assert "'169.254.169.254' is not on the list of allowed hosts" in answers[2].json()["error"]["message"]
    assert [path for path, _ in site.asked] == ["/to-listed", "/a.png", "/to-other", "/to-private"]


@pytest.mark.parametrize("address", ["10.0.0.7", "169.254.169.254", "::1"])
async def test_a_listed_host_with_a_private_address(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    network = Network(resolve=lambda host, port: [address])
    monkeypatch.setattr(service, "fetch", partial(fetch, network=network))
    every = settings(http={"urls": {"enabled": True, "hosts": ["*"]}})
    for asked in (LISTED, every):
        async with client(asked=asked) as http:
            answer = await http.post("/v1/judge", json=by_url("http://media.example/a.png"))
        assert answer.status_code == 422
        assert "only public addresses are fetched" in answer.json()["error"]["message"]


async def test_a_large_answer_loses_nothing_else(site: Site) -> None:
    site.answers["/large"] = body(b"x" * 1001)
    urls = [site.url(path, "media.example") for path in ("/large?secret=1", "/a.png")]
    site.answers["/large?secret=1"] = site.answers["/large"]
    async with client(asked=LISTED) as http:
        answer = await http.post("/v1/judge", json=by_url(*urls))
    large, fine = answer.json()["results"]
    assert (large["decision"], fine["decision"]) == ("uncertain", "safe")
    assert "larger than the limit of 1,000 bytes" in large["error"]["message"]
    assert "secret" not in answer.text


def test_urls_need_a_list() -> None:
    with pytest.raises(ValidationError, match="hosts must name the hosts"):
        UrlSettings(enabled=True)


def test_what_a_backend_may_read() -> None:
    assert not media_permissions(HttpSettings()).urls
    allowed = media_permissions(LISTED.http)
    assert (allowed.urls, allowed.hosts, allowed.max_bytes, allowed.files) == (
        True,
        LISTED.http.urls.hosts,
        1000,
        False,
    )
