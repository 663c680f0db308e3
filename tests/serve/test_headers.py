"""Headers of every answer, and who may call from a page of another origin."""

from __future__ import annotations

import pytest

from .gateways import asks, client, picture, settings

ORIGIN = "https://console.example"


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/v1/models", "/openapi.json"])
async def test_every_answer_is_guarded(path: str) -> None:
    async with client() as http:
        headers = (await http.get(path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cache-Control"] == "no-store"
    assert "server" not in headers


async def test_a_page_may_use_its_own_files_only() -> None:
    async with client() as http:
        policies = [(await http.get(path)).headers["Content-Security-Policy"] for path in ("/", "/page/main.js")]
    for policy in policies:
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy


async def test_no_other_origin_by_default() -> None:
    async with client() as http:
        asked = await http.options("/v1/judge", headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"})
        posted = await http.post("/v1/judge", json=asks(picture()), headers={"Origin": ORIGIN})
    assert asked.status_code == 405
    assert [name for name in (*asked.headers, *posted.headers) if name.startswith("access-control")] == []


async def test_a_listed_origin_also_sees_refusals() -> None:
    allowed = settings(http={"cors_origins": [ORIGIN]}, auth={"mode": "keys"})
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    async with client(asked=allowed) as http:
        preflight = await http.options("/v1/judge", headers={"Origin": ORIGIN, **asked})
        refused = await http.post("/v1/judge", json={}, headers={"Origin": ORIGIN})
        other = await http.options("/v1/judge", headers={"Origin": "https://evil.example", **asked})
    assert (preflight.status_code, preflight.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (401, ORIGIN)
    assert "Access-Control-Allow-Credentials" not in preflight.headers
    assert "Access-Control-Allow-Origin" not in other.headers
