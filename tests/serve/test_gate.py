"""API keys, what they may do, their rates and quotas, over the real gateway."""

from __future__ import annotations

import pytest
from fastapi import APIRouter, Depends
from pydantic import ValidationError

from judge.errors import ConfigError
from serve import gateway
from serve.context import Context
from serve.gate import KeyGate, LocalGate, build_gate
from serve.gateway import create_gateway
from serve.settings import AuthSettings, KeySettings, ServeSettings

from .gateways import (
    ADMIN_KEY,
    KEY,
    OTHER_KEY,
    asks,
    bearer,
    client,
    client_of,
    context,
    digest,
    picture,
    scripted_service,
    settings,
    with_keys,
)  # fmt: skip


async def test_a_key_in_either_header() -> None:
    async with client(asked=settings(auth=with_keys())) as http:
        answers = [
            await http.get("/v1/models", headers=headers)
            for headers in (bearer(KEY), {"X-API-Key": KEY}, {"Authorization": f"bearer  {KEY} "})
        ]
    assert [answer.status_code for answer in answers] == [200] * 3


@pytest.mark.parametrize(
    "headers",
    [{}, bearer("wrong"), bearer(""), {"X-API-Key": "wrong"}, {"Authorization": "Basic dTpw"}, bearer(digest(KEY)),
     {"Authorization": KEY}, {"Authorization": "Bearer " + "é" * 5000}],
)  # fmt: skip
async def test_without_a_known_key(headers: dict[str, str]) -> None:
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    async with client(asked=settings(auth=with_keys())) as http:
        answers = [
            await http.get("/v1/models", headers=raw),
            await http.get("/v1/verdicts/x", headers=raw),
            await http.post("/v1/judge", json=asks(picture()), headers=raw),
            await http.post("/v1/judge", content=b"garbage", headers=raw),
        ]
    for answer in answers:
        error = answer.json()["error"]
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert (error["type"], error["code"]) == ("authentication_error", "invalid_api_key")
        assert error["hint"] == "send it as `Authorization: Bearer <key>` or `X-API-Key: <key>`"


async def test_health_needs_no_key() -> None:
    async with client(asked=settings(auth=with_keys())) as http:
        answers = [await http.get(path) for path in ("/healthz", "/readyz", "/openapi.json")]
    assert [answer.status_code for answer in answers] == [200] * 3


async def test_a_key_without_the_scope(monkeypatch: pytest.MonkeyPatch) -> None:
    def admin_only(given: Context) -> APIRouter:
        routes = APIRouter()

        @routes.get("/admin", dependencies=[Depends(given.gate.require("admin"))])
        async def admin() -> str:
            return "done"

        return routes

    monkeypatch.setattr(gateway, "ROUTERS", (admin_only,))
    async with client(asked=settings(auth=with_keys())) as http:
        refused, allowed = [await http.get("/admin", headers=bearer(key)) for key in (KEY, ADMIN_KEY)]
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_error")
    assert refused.json()["error"]["message"] == f"the API key '{KEY}' may not do this: it has no scope 'admin'"
    assert allowed.json() == "done"


async def test_a_rate_is_of_each_key() -> None:
    async with client(asked=settings(auth=with_keys(requests_per_minute=2))) as http:
        mine = [await http.get("/v1/models", headers=bearer(KEY)) for _ in range(3)]
        others = await http.get("/v1/models", headers=bearer(OTHER_KEY))
    assert [answer.status_code for answer in mine] == [200, 200, 429]
    error = mine[2].json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limited")
    assert error["message"] == "more than 2 requests a minute with this API key"
    assert 1 <= int(mine[2].headers["Retry-After"]) <= 60
    assert others.status_code == 200


async def test_a_keys_own_rate_counts_over_the_default() -> None:
    own = {"name": "own", "sha256": digest(KEY), "requests_per_minute": 1}
    async with client(asked=settings(auth={"keys": [own], "requests_per_minute": 100})) as http:
        answers = [await http.get("/v1/models", headers=bearer(KEY)) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]


async def test_a_request_counts_once_wherever_the_key_is_looked_at() -> None:
    async with client(asked=settings(auth=with_keys(requests_per_minute=2))) as http:
        answers = [await http.post("/v1/judge", json=asks(picture()), headers=bearer(KEY)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]


async def test_a_quota_of_media() -> None:
    async with client(asked=settings(auth=with_keys(media_per_day=3))) as http:
        sizes = (2, 2, 1, 1)
        answers = [await http.post("/v1/judge", json=asks(*[picture()] * size), headers=bearer(KEY)) for size in sizes]
        other = await http.post("/v1/judge", json=asks(picture()), headers=bearer(OTHER_KEY))
    assert [answer.status_code for answer in answers] == [200, 429, 200, 429]
    error = answers[1].json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "quota_used_up")
    assert error["message"] == f"the API key '{KEY}' has 1 of its 3 media left for today, UTC"
    assert 1 <= int(answers[1].headers["Retry-After"]) <= 86_400
    assert other.status_code == 200


async def test_a_wrong_request_takes_nothing_from_the_quota() -> None:
    async with client(asked=settings(auth=with_keys(media_per_day=1))) as http:
        wrong = await http.post("/v1/judge", json=asks(picture(), constitution="none"), headers=bearer(KEY))
        right = await http.post("/v1/judge", json=asks(picture()), headers=bearer(KEY))
    assert (wrong.status_code, right.status_code) == (400, 200)


async def test_guessing_is_limited_and_locks_out_no_known_caller() -> None:
    async with client(asked=settings(auth=with_keys())) as http:
        before = await http.get("/v1/models", headers=bearer(KEY))
        guesses = [await http.get("/v1/models", headers=bearer(f"guess-{n}")) for n in range(21)]
        after = await http.get("/v1/models", headers=bearer(KEY))
        lucky = await http.get("/v1/models", headers=bearer(OTHER_KEY))
    assert (before.status_code, after.status_code) == (200, 200)
    assert [answer.status_code for answer in guesses] == [401] * 20 + [429]
    assert (lucky.status_code, lucky.json()["error"]["code"]) == (429, "too_many_failures")
    assert 1 <= int(lucky.headers["Retry-After"]) <= 60


class Shelf:
    """A `KeyStore` in memory."""

    def __init__(self) -> None:
        self.keys: dict[str, KeySettings] = {}

    async def find(self, sha256: str) -> KeySettings | None:
        return self.keys.get(sha256)


async def test_a_key_of_the_store_counts_until_it_is_withdrawn() -> None:
    shelf = Shelf()
    shelf.keys[digest("stored")] = KeySettings(name="stored", sha256=digest("stored"), media_per_day=1)
    given = Context(settings(), scripted_service(), gate=KeyGate(AuthSettings(), shelf))
    async with client_of(given) as http:
        first = await http.post("/v1/judge", json=asks(picture()), headers=bearer("stored"))
        second = await http.post("/v1/judge", json=asks(picture()), headers=bearer("stored"))
        shelf.keys.clear()
        third = await http.post("/v1/judge", json=asks(picture()), headers=bearer("stored"))
    assert [answer.status_code for answer in (first, second, third)] == [200, 429, 401]


def test_everybody_only_behind_a_loopback_address() -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        assert isinstance(build_gate(settings(http={"host": host})), LocalGate)
    for host in ("0.0.0.0", "::", "192.168.1.2", "example.org"):
        with pytest.raises(ConfigError, match="lets everybody in"):
            build_gate(settings(http={"host": host}))


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "127.0.0.2"])
async def test_without_keys_this_machine_is_served(host: str) -> None:
    async with client() as http:
        answers = [
            await http.get("/v1/models", headers={"Host": host, "Sec-Fetch-Site": site})
            for site in ("same-origin", "same-site", "none")
        ]
    assert [answer.status_code for answer in answers] == [200] * 3


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Host": "localhost.evil.example"}, {"Host": "10.0.0.1"}, {"Host": ""},
     {"Host": "[::1"}, {"Host": "evil.example@localhost.example"},
     {"Sec-Fetch-Site": "cross-site"}],
)  # fmt: skip
async def test_without_keys_no_page_of_another_site_is_served(headers: dict[str, str]) -> None:
    async with client() as http:
        answers = [
            await http.get("/v1/models", headers=headers),
            await http.post("/v1/judge", files={"media": picture()}, headers=headers),
        ]
    assert [(answer.status_code, answer.json()["error"]["code"]) for answer in answers] == [(403, "foreign_page")] * 2


def test_keys_are_asked_for_by_default() -> None:
    assert isinstance(build_gate(ServeSettings()), KeyGate)


def test_a_key_itself_in_the_settings_is_refused_and_not_repeated() -> None:
    with pytest.raises(ValidationError) as caught:
        KeySettings(name="a", sha256="the-key-itself")
    assert "the-key-itself" not in str(caught.value)


def test_the_document_names_the_keys() -> None:
    found = create_gateway(context(asked=settings(auth=with_keys()))).openapi()
    assert set(found["components"]["securitySchemes"]) == {"bearer", "header"}
    assert found["paths"]["/v1/judge"]["post"]["security"] == [{"bearer": []}, {"header": []}]
    assert "security" not in found["paths"]["/healthz"]["get"]
