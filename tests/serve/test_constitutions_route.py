"""`/v1/constitutions` over the real gateway: versions, what is refused, and that judging follows at once."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import yaml

from judge.assets import constitution_path
from judge.constitution import load_constitution
from serve.routes.constitutions import MAX_BYTES
from serve.store.models import ConstitutionRow
from serve.store.policies import StoredPolicies

from .gateways import ADMIN_KEY, KEY, asks, bearer, client, client_of, picture, with_keys
from .remembering import count, remembering, store_of

YAML = {"Content-Type": "application/yaml"}
JSON = {"Content-Type": "application/json"}


def policy(version: str, name: str = "house", statement: str = "A knife is visible.") -> str:
    return f"""
# Written by hand.
name: {name}
version: "{version}"
categories:
  arms: {{title: Arms}}
preconditions:
  knife: {{statement: {statement}}}
rules:
  arms.knife: {{category: arms, severity: high, text: No knives., statement: A knife is shown., violated_when: knife}}
"""


async def put(http: httpx.AsyncClient, text: str | bytes, name: str = "house", **headers: str) -> httpx.Response:
    return await http.put(f"/v1/constitutions/{name}", content=text, headers={**YAML, **headers})


async def applied(http: httpx.AsyncClient, named: str = "house") -> str:
    answer = await http.post("/v1/judge", json=asks(picture(), constitution=named))
    return str(answer.json()["constitution"]) if answer.status_code == 200 else str(answer.json()["error"]["code"])


async def versions(http: httpx.AsyncClient, name: str = "house") -> list[tuple[str, bool]]:
    answer = await http.get("/v1/constitutions")
    found = answer.json()["constitutions"]
    assert [each["name"] for each in found] == sorted(each["name"] for each in found)
    return [(each["version"], each["active"]) for each in found if each["name"] == name]


async def test_a_new_constitution_is_applied_at_once_and_old_versions_stay(tmp_path: Path) -> None:
    async with remembering(tmp_path) as context, client_of(context) as http:
        assert await applied(http) == "config"
        first = await put(http, policy("1"))
        assert first.status_code == 200
        assert first.json() | {"created_at": None, "digest": ""} == {
            "name": "house", "version": "1", "active": True, "created_at": None, "digest": "",
        }  # fmt: skip
        assert await applied(http) == "house@1"
        await put(http, policy("2", statement="A knife is held."))
        assert (await applied(http), await applied(http, "house@1")) == ("house@2", "house@1")
        assert await versions(http) == [("2", True), ("1", False)]
    async with remembering(tmp_path) as context, client_of(context) as http:
        assert await applied(http) == "house@2"


async def test_another_gateway_sees_the_change(tmp_path: Path) -> None:
    async with remembering(tmp_path) as one, remembering(tmp_path) as other:
        other.policies = StoredPolicies(store_of(other).database, look_again_s=0.0)
        async with client_of(one) as http, client_of(other) as there:
            assert await applied(there) == "config"
            await put(http, policy("1"))
            assert await applied(there) == "house@1"
            await put(http, policy("2"))
            assert await applied(there) == "house@2"
            await http.put("/v1/constitutions/house/active", json={"version": "1"})
            assert await applied(there) == "house@1"
            # Both add the same version: one has it, and the other finds it.
            assert (await put(there, policy("3"))).json()["active"] is True
            assert (await put(http, policy("3"))).status_code == 200
            assert (await put(http, policy("3", statement="Else."))).status_code == 409
        assert count(store_of(one), ConstitutionRow) == 3


async def test_the_same_content_again_changes_nothing_and_another_is_a_conflict(tmp_path: Path) -> None:
    async with remembering(tmp_path) as context, client_of(context) as http:
        first = await put(http, policy("1"))
        again = await put(http, policy("1") + "# only a comment\n")
        assert (again.status_code, again.json()) == (200, first.json())
        await put(http, policy("2"))
        late = await put(http, policy("1"))
        assert (late.status_code, late.json()["active"]) == (200, False)
        assert await applied(http) == "house@2"
        other = await put(http, policy("1", statement="A spoon is visible."))
        assert (other.status_code, other.json()["error"]["code"]) == (409, "conflict")
        assert "a version '1' of 'house' with another content" in other.json()["error"]["message"]
        assert count(store_of(context), ConstitutionRow) == 2


async def test_an_older_version_is_applied_again(tmp_path: Path) -> None:
    async with remembering(tmp_path) as context, client_of(context) as http:
        for version in ("1", "2"):
            await put(http, policy(version))
        answer = await http.put("/v1/constitutions/house/active", json={"version": "1"})
        assert (answer.status_code, answer.json()["version"], answer.json()["active"]) == (200, "1", True)
        assert await applied(http) == "house@1"
        assert await versions(http) == [("2", False), ("1", True)]
        missing = await http.put("/v1/constitutions/house/active", json={"version": "9"})
        assert (missing.status_code, missing.json()["error"]["hint"]) == (404, "there is 2, 1")
        assert (await http.put("/v1/constitutions/nobody/active", json={"version": "1"})).status_code == 404
        assert (await http.put("/v1/constitutions/house/active", json={})).status_code == 422
        assert await applied(http) == "house@1"


async def test_one_of_the_installation_can_be_replaced_and_brought_back(tmp_path: Path) -> None:
    built_in = load_constitution(constitution_path("stickers"))
    async with remembering(tmp_path) as context, client_of(context) as http:
        same = await put(http, constitution_path("stickers").read_text(), "stickers")
        assert (same.status_code, same.json()["created_at"], same.json()["active"]) == (200, None, True)
        taken = await put(http, policy(built_in.version, "stickers"), "stickers")
        assert taken.status_code == 409
        await put(http, policy("99", "stickers"), "stickers")
        assert await applied(http, "stickers") == "stickers@99"
        assert await versions(http, "stickers") == [("99", True), (built_in.version, False)]
        await http.put("/v1/constitutions/stickers/active", json={"version": built_in.version})
        assert await applied(http, "stickers") == f"stickers@{built_in.version}"
        assert await versions(http, "stickers") == [("99", False), (built_in.version, True)]


async def test_as_json_and_as_yaml(tmp_path: Path) -> None:
    async with remembering(tmp_path) as context, client_of(context) as http:
        await put(http, policy("1"))
        await http.put(
            "/v1/constitutions/house", content=json.dumps(yaml.safe_load(policy("2", statement="😀"))), headers=JSON
        )
        shown = (await http.get("/v1/constitutions/house", params={"version": "1"})).json()
        text = await http.get("/v1/constitutions/house?version=1", headers={"Accept": "application/yaml"})
        newest = (await http.get("/v1/constitutions/house")).json()
        both = await http.get("/v1/constitutions/house", headers={"Accept": "application/json, application/yaml"})
        missing = await http.get("/v1/constitutions/house", params={"version": "3"})
        unknown = await http.get("/v1/constitutions/hous", headers={"Accept": "application/yaml"})
    assert shown["constitution"]["rules"][0]["id"] == "arms.knife"
    assert (text.headers["content-type"].partition(";")[0], text.text) == ("application/yaml", policy("1"))
    assert newest["constitution"]["preconditions"][0]["statement"] == "😀"
    assert both.headers["content-type"] == "application/json"
    assert (missing.status_code, missing.json()["error"]["hint"]) == (404, "there is 2, 1")
    assert (unknown.status_code, unknown.json()["error"]["hint"]) == (404, "did you mean 'house'?")


async def test_only_an_admin_may_change_them(tmp_path: Path) -> None:
    async with remembering(tmp_path, auth=with_keys()) as context, client_of(context) as http:
        assert (await put(http, policy("1"))).status_code == 401
        assert (await put(http, policy("1"), **bearer(KEY))).status_code == 403
        active = await http.put("/v1/constitutions/stickers/active", json={"version": "1"}, headers=bearer(KEY))
        assert active.status_code == 403
        assert count(store_of(context), ConstitutionRow) == 0
        assert (await put(http, policy("1"), **bearer(ADMIN_KEY))).status_code == 200
        assert (await http.get("/v1/constitutions/house", headers=bearer(KEY))).status_code == 200
        assert (await http.get("/v1/constitutions/house")).status_code == 401


BROKEN = policy("1").replace("severity: high", "severity: dreadful").replace("violated_when: knife", "violated_when: x")


REFUSED: list[tuple[str | bytes, str, int, list[str]]] = [
    (BROKEN, "application/yaml", 422, ["'severity'", "'x'"]),
    (policy("1", "other"), "application/yaml", 422, ["is named 'other', not 'house'"]),
    (policy("v" * 201), "application/yaml", 422, ["'version' cannot be kept"]),
    (policy("1@2"), "application/yaml", 422, ["'version' cannot be kept"]),
    (policy("1\\0"), "application/yaml", 422, ["'version' cannot be kept"]),
    ("", "application/yaml", 422, ["house"]),
    ("a: &a [x, x]\nb: *a", "application/yaml", 422, ["anchor"]),
    ("!!python/object/apply:os.system [id]", "application/yaml", 422, ["tag"]),
    ("[" * 100_000, "application/yaml", 422, ["house"]),
    ("[" * 100_000, "application/json", 400, ["not JSON"]),
    ('{"name": "\\ud800"}', "application/json", 422, ["house"]),
    ("{", "application/json", 400, ["not JSON"]),
    (b"\xff\xfe", "application/yaml", 400, ["not text in UTF-8"]),
    ("# " + "x" * MAX_BYTES, "application/yaml", 413, ["larger than 1,000,000 bytes"]),
    (policy("1"), "image/png", 415, ["'image/png'"]),
]


async def test_what_is_refused(tmp_path: Path) -> None:
    async with remembering(tmp_path) as context, client_of(context) as http:
        for body, kind, status, words in REFUSED:
            content = body.encode() if isinstance(body, str) else body
            answer = await http.put("/v1/constitutions/house", content=content, headers={"Content-Type": kind})
            assert answer.status_code == status, (content[:80], answer.text)
            message = answer.json()["error"]["message"]
            assert [word for word in words if word not in message] == [], message
        assert count(store_of(context), ConstitutionRow) == 0


async def test_without_a_store_nothing_can_be_put() -> None:
    async with client() as http:
        assert (await http.get("/v1/constitutions/stickers")).json()["name"] == "stickers"
        answer = await put(http, policy("1"))
        active = await http.put("/v1/constitutions/stickers/active", json={"version": "1.0.0"})
    assert (answer.status_code, answer.json()["error"]["hint"]) == (400, "configure a store")
    assert active.status_code in (400, 404)
