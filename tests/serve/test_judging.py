"""`POST /v1/judge` and `GET /v1/verdicts/{id}` over the real gateway and service."""

from __future__ import annotations

import base64
import json
import logging
from typing import Any

import pytest
import yaml

from judge.assets import constitution_path
from judge.client.wire import JudgeResponse, JudgeResult
from judge.engines.scripted import Answer, ScriptedEngine
from judge.errors import EngineError
from judge.types import Prompt
from serve import running
from serve.context import Caller
from serve.problems import Overloaded

from .gateways import (
    BLUE,
    KEY,
    OTHER_KEY,
    RED,
    HangingBackend,
    RaisingBackend,
    WaitingEngine,
    asks,
    bearer,
    client,
    client_of,
    context,
    embedded_service,
    first_pixel,
    item,
    picture,
    sample,
    scripted_service,
    settings,
    with_keys,
)  # fmt: skip

UNSAFE, SAFE = "harmful-violence-weapon_threat.png", "harmless-1.png"
NOT_A_PICTURE = b"this is no picture"


def red_fails(prompt: Prompt) -> float | Answer:
    if prompt.frames and first_pixel(prompt) == RED:
        raise EngineError("CUDA out of memory: secret internals")
    return 0.01


# --- bodies -------------------------------------------------------------------------------------------------


async def test_one_picture_in_every_form_gets_the_same_verdict() -> None:
    data = sample(UNSAFE)
    wrapped = base64.encodebytes(data).decode()
    url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    async with client(embedded_service()) as http:
        answers = [
            await http.post("/v1/judge", json=asks(data)),
            await http.post("/v1/judge", json={"media": [{"data": wrapped}]}),
            await http.post("/v1/judge", json={"media": [{"data": url}]}),
            await http.post("/v1/judge", files={"media": ("0", data)}),
        ]
    assert [answer.status_code for answer in answers] == [200] * 4
    results = [JudgeResponse.model_validate_json(answer.text).results[0] for answer in answers]
    told = {(result.input, result.decision, result.flagged, result.score) for result in results}
    assert len(told) == 1
    assert (results[0].decision, results[0].flagged) == ("unsafe", True)


async def test_several_files_keep_their_order_and_names() -> None:
    files = [("media", (name, sample(name), "image/png")) for name in (SAFE, UNSAFE)]
    async with client(embedded_service()) as http:
        answer = await http.post("/v1/judge", files=files, data={"options": json.dumps({"explain": True})})
    body = JudgeResponse.model_validate_json(answer.text)
    assert [(result.input, result.decision) for result in body.results] == [(SAFE, "safe"), (UNSAFE, "unsafe")]
    assert body.constitution == "stickers@1.0.2"
    assert all(result.verdict and result.verdict.rules[0].evidence for result in body.results)
    assert body.id == answer.headers["X-Request-Id"]


async def test_without_explain_there_is_no_evidence() -> None:
    async with client() as http:
        answer = await http.post("/v1/judge", json=asks(picture()))
    (result,) = JudgeResponse.model_validate_json(answer.text).results
    assert result.verdict
    assert {rule.evidence for rule in result.verdict.rules} == {()}


@pytest.mark.parametrize(
    ("files", "data", "message"),
    [
        ([("picture", ("a.png", b"x"))], {}, "unknown part 'picture'"),
        ([("media", ("a.png", b"x"))], {"options": "{"}, "part 'options' is not JSON that can be read"),
        ([("media", ("a.png", b"x"))], {"options": '{"media": []}'}, "'options.media' is not a known field"),
        ([("media", ("a.png", b"x"))], {"options": ["{}", "{}"]}, "there must be one part 'options', which is no file"),
        ([("media", ("a.png", b"x"))], {"text": ["a", "b"]}, "there must be one part 'text', or one for each media"),
        ([("media", ("a.png", b"x"))], {"text": "a" * 10_001}, "a text is longer than 10,000 characters"),
        ([("media", (None, b"x"))], {}, "a part 'media' is not a file"),
        ([("other", (None, b"x"))], {}, "unknown part 'other'"),
        ([("options", (None, "{}"))], {}, "there is no part 'media'"),
    ],
)
async def test_a_form_that_is_wrong(files: Any, data: dict[str, Any], message: str) -> None:
    async with client() as http:
        answer = await http.post("/v1/judge", files=files, data=data)
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["message"] == message


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ("", 400, "the body is not JSON that can be read"),
        ("{", 400, "the body is not JSON that can be read"),
        ("[" * 100_000, 400, "the body is not JSON that can be read"),
        ('{"constitution_inline": ' + '{"a":' * 5000 + "1" + "}" * 5001, 400, "the body is not JSON that can be read"),
        ("[]", 422, "the body must be an object"),
        ("{}", 422, "'media' is missing"),
        ('{"media": []}', 422, "'media' must be a list of at least 1"),
        ('{"media": [{}]}', 422, "'media.0' is not valid: give either data or url"),
        ('{"media": [{"data": "", "url": "http://a"}]}', 422, "'media.0' is not valid: give either data or url"),
        ('{"media": [{"data": 7}]}', 422, "'media.0.data' must be text"),
        ('{"media": [{"data": "@@"}]}', 422, "the media's data is not base64"),
        ('{"media": [{"data": "\\u00e9A=="}]}', 422, "the media's data is not base64"),
        ('{"media": [{"data": "data:image/png,abc"}]}', 422, "the media's data URL is not in base64"),
        ('{"media": [{"data": "QQ=="}], "explain": "yes"}', 422, "'explain' must be true or false"),
        ('{"media": [{"data": "QQ=="}], "stages": {"debate": "x"}}', 422,
         "'stages.debate' must be one of 'off', 'one' or 'both'"),
        ('{"media": [{"data": "QQ=="}], "budget": {"seconds": 0}}', 422, "'budget.seconds' must be more than 0.0"),
        ('{"media": [{"data": "QQ=="}], "explian": true}', 422, "'explian' is not a known field"),
        ('{"media": [{"data": "QQ=="}], "constitution": "a", "constitution_inline": "b"}', 422,
         "the body is not valid: give either constitution or constitution_inline"),
    ],
)  # fmt: skip
async def test_json_that_is_wrong(body: str, status: int, message: str) -> None:
    async with client() as http:
        answer = await http.post("/v1/judge", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["message"]) == (status, message)


async def test_half_characters_are_no_server_error() -> None:
    async with client() as http:
        answer = await http.post(
            "/v1/judge", content='{"\\ud800": 1, "media": [{"data": "\\ud800"}]}',
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
    assert answer.status_code in (400, 422)
    assert answer.json()["error"]["code"] in ("invalid_body", "invalid_request")


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
async def test_another_content_type(kind: str) -> None:
    async with client() as http:
        answer = await http.post("/v1/judge", content=json.dumps(asks(picture())), headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_content_type")


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=x"])
async def test_multipart_garbage(kind: str) -> None:
    async with client() as http:
        answer = await http.post("/v1/judge", content=b"no parts\r\n" * 50, headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_body")


async def test_a_form_that_spells_half_a_character() -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="media"; filename="+2AA-.png"\r\n\r\n'
    kind = {"Content-Type": "multipart/form-data; boundary=x; charset=utf-7"}
    async with client() as http:
        answer = await http.post("/v1/judge", content=part + picture() + b"\r\n--x--\r\n", headers=kind)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_body")


# --- media that cannot be read, and what fails --------------------------------------------------------------


async def test_a_single_media_that_cannot_be_read() -> None:
    async with client() as http:
        answer = await http.post("/v1/judge", json={"media": [item(NOT_A_PICTURE, name="a.txt")]})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (422, "media", "media")
    assert "a.txt" in error["message"]


async def test_one_of_several_that_cannot_be_read_loses_nothing() -> None:
    async with client() as http:
        answer = await http.post("/v1/judge", json=asks(picture(), NOT_A_PICTURE, picture(RED)))
    results = JudgeResponse.model_validate_json(answer.text).results
    assert [(result.decision, result.flagged) for result in results] == [
        ("safe", False),
        ("uncertain", None),
        ("safe", False),
    ]
    assert [result.error and result.error.code for result in results] == [None, "media", None]
    assert results[1].score is None


async def test_several_of_which_none_can_be_read() -> None:
    async with client() as http:
        answer = await http.post("/v1/judge", json=asks(NOT_A_PICTURE, b""))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "media")
    assert answer.json()["error"]["message"].startswith("none of the 2 media can be read; ")


async def test_a_model_that_fails_is_503_and_never_a_verdict() -> None:
    async with client(scripted_service(ScriptedEngine(default=red_fails))) as http:
        answer = await http.post("/v1/judge", json=asks(picture(RED)))
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json()["error"]["code"] == "engine_unavailable"
    assert "secret" not in answer.text


async def test_a_model_that_fails_about_one_of_several() -> None:
    async with client(scripted_service(ScriptedEngine(default=red_fails))) as http:
        answer = await http.post("/v1/judge", json=asks(picture(BLUE), picture(RED)))
    results = JudgeResponse.model_validate_json(answer.text).results
    assert [(result.decision, result.error and result.error.code) for result in results] == [
        ("safe", None), ("uncertain", "engine_unavailable"),
    ]  # fmt: skip
    assert "secret" not in answer.text


async def test_no_room_in_the_backend_is_429() -> None:
    async with client(RaisingBackend(Overloaded("no room", retry_after_s=3.2))) as http:
        answer = await http.post("/v1/judge", json=asks(picture()))
    assert (answer.status_code, answer.headers["Retry-After"], answer.json()["error"]["code"]) == (
        429,
        "3",
        "overloaded",
    )


async def test_a_budget_too_small_for_any_verdict_leaves_it_uncertain() -> None:
    engine = WaitingEngine()
    async with client(scripted_service(engine)) as http:
        answer = await http.post("/v1/judge", json=asks(picture(RED), budget={"seconds": 0.05}))
    (row,) = answer.json()["results"]
    assert (answer.status_code, row["decision"], row["error"]["code"]) == (200, "uncertain", "deadline_exceeded")
    assert engine.stopped.is_set()


async def test_the_services_own_deadline_counts_too() -> None:
    engine = WaitingEngine()
    short = settings(http={"deadline_s": 0.05})
    async with client(scripted_service(engine, short), short) as http:
        answer = await http.post("/v1/judge", json=asks(picture(RED), budget={"seconds": 100.0}))
    assert answer.status_code == 504


async def test_a_backend_that_forgets_the_deadline_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_GRACE_S", 0.0)
    short = settings(http={"deadline_s": 0.05})
    async with client(HangingBackend(), short) as http:
        answer = await http.post("/v1/judge", json=asks(picture()))
    assert answer.status_code == 504


async def test_an_unforeseen_error_is_500_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    async with client(RaisingBackend(ZeroDivisionError("a secret"))) as http:
        answer = await http.post("/v1/judge", json=asks(picture()), headers={"X-Request-Id": "abc-1"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal")
    assert answer.json()["error"]["request_id"] == answer.headers["X-Request-Id"] == "abc-1"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "secret" not in answer.text
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == ["unforeseen error"]


@pytest.mark.parametrize(
    ("stages", "code"), [({"region": "owlv2"}, "stage_not_available"), ({"frames": 65}, "too_many_frames")]
)
@pytest.mark.parametrize("stream", [False, True])
async def test_callers_load_no_model_and_fill_no_memory(stages: dict[str, Any], code: str, stream: bool) -> None:
    async with client() as http:
        answer = await http.post("/v1/judge", json=asks(picture(), stages=stages, stream=stream))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)


@pytest.mark.parametrize("stages", [{"region": "occlusion"}, {"frames": 64}])
async def test_stages_within_the_settings(stages: dict[str, Any]) -> None:
    async with client() as http:
        answer = await http.post("/v1/judge", json=asks(picture(), stages=stages))
    assert answer.status_code == 200


# --- constitutions ------------------------------------------------------------------------------------------

INLINE = """
schema_version: 1
name: mine
version: "3"
categories:
  a: {title: A}
preconditions:
  blood: {statement: There is blood., focus: [blood]}
rules:
  a.blood:
    category: a
    severity: high
    text: No blood.
    statement: There is blood in the picture.
    violated_when: blood
    source: me
    modalities: [image]
"""


@pytest.mark.parametrize("named", ["stickers", "stickers@1.0.2", None])
async def test_a_constitution_by_name(named: str | None) -> None:
    async with client() as http:
        answer = await http.post("/v1/judge", json=asks(picture(), constitution=named))
    assert answer.json()["constitution"] == "stickers@1.0.2"


@pytest.mark.parametrize(
    ("named", "message", "hint"),
    [
        ("sticker", "unknown constitution 'sticker'", "did you mean 'stickers'?"),
        ("stickers@9", "constitution 'stickers' has no version '9'", "there is 1.0.2"),
    ],
)
async def test_a_constitution_that_is_not_there(named: str, message: str, hint: str) -> None:
    async with client() as http:
        answer = await http.post("/v1/judge", json=asks(picture(), constitution=named))
    error = answer.json()["error"]
    assert (answer.status_code, error["message"], error["hint"]) == (400, message, hint)


async def test_inline_constitutions_are_off() -> None:
    async with client() as http:
        answer = await http.post("/v1/judge", json=asks(picture(), constitution_inline=INLINE))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "inline_constitution_not_allowed")


async def test_an_inline_constitution_as_yaml_and_as_json() -> None:
    async with client(asked=settings(http={"inline_constitutions": True})) as http:
        answers = [
            await http.post("/v1/judge", json=asks(picture(), constitution_inline=given))
            for given in (INLINE, yaml.safe_load(INLINE))
        ]
    assert [answer.status_code for answer in answers] == [200, 200]
    results = [JudgeResponse.model_validate_json(answer.text) for answer in answers]
    assert {result.constitution for result in results} == {"mine@3"}
    digests = {result.results[0].verdict.versions.constitution for result in results if result.results[0].verdict}
    assert len(digests) == 1


async def test_an_inline_constitution_says_everything_that_is_wrong() -> None:
    wrong = INLINE.replace("severity: high", "severity: awful").replace("violated_when: blood", "violated_when: gore")
    async with client(asked=settings(http={"inline_constitutions": True})) as http:
        answer = await http.post("/v1/judge", json=asks(picture(), constitution_inline=wrong))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (422, "constitution")
    assert "'severity' must be" in error["message"]
    assert "rule 'a.blood': unknown precondition 'gore'" in error["message"]
    assert error["message"].count("constitution_inline:") == 3


async def test_a_large_inline_constitution() -> None:
    large = constitution_path("stickers").read_text(encoding="utf-8") + "# comment\n" * 20_000
    async with client(asked=settings(http={"inline_constitutions": True})) as http:
        answer = await http.post("/v1/judge", json=asks(picture(), constitution_inline=large))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "constitution_too_large")


# --- streams ------------------------------------------------------------------------------------------------


def lines_of(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


async def test_a_stream_of_several_media_refines_each() -> None:
    async with client(embedded_service()) as http:
        answer = await http.post(
            "/v1/judge", json=asks(sample(UNSAFE), sample(SAFE), stream=True, stages={"vote": True})
        )
    lines = lines_of(answer.text)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert [line["type"] for line in lines[:-1]] == ["verdict"] * (len(lines) - 1)
    assert lines[-1]["type"] == "done"
    for index, decision in enumerate(["unsafe", "safe"]):
        about = [line for line in lines if line["index"] == index]
        assert [line["final"] for line in about] == [False] * (len(about) - 1) + [True]
        assert {JudgeResult.model_validate(line["result"]).decision for line in about} == {decision}
        assert len({line["result"]["id"] for line in about}) == 1


async def test_a_stream_with_media_that_cannot_be_read() -> None:
    async with client() as http:
        answer = await http.post("/v1/judge", json=asks(NOT_A_PICTURE, picture(), stream=True))
    lines = lines_of(answer.text)
    finals = {line["index"]: JudgeResult.model_validate(line["result"]) for line in lines if line["final"]}
    assert {index: result.decision for index, result in finals.items()} == {0: "uncertain", 1: "safe"}
    assert finals[0].error
    assert lines[-1]["type"] == "done"


async def test_a_stream_in_which_the_model_fails_once_goes_on_and_says_so() -> None:
    async with client(scripted_service(ScriptedEngine(default=red_fails))) as http:
        answer = await http.post("/v1/judge", json=asks(picture(RED), picture(BLUE), stream=True))
    lines = lines_of(answer.text)
    assert [line["index"] for line in lines if line["final"]] == [1]
    assert (lines[-1]["type"], lines[-1]["error"]["code"]) == ("error", "engine_unavailable")
    assert lines[-1]["error"]["request_id"] == answer.headers["X-Request-Id"]


async def test_a_stream_that_breaks_says_so_without_the_errors_text() -> None:
    async with client(RaisingBackend(ZeroDivisionError("a secret"))) as http:
        answer = await http.post("/v1/judge", json=asks(picture(), stream=True))
    (line,) = lines_of(answer.text)
    assert (line["type"], line["error"]["code"]) == ("error", "internal")
    assert "secret" not in answer.text


# --- kept verdicts ------------------------------------------------------------------------------------------


class Shelf:
    """A `VerdictArchive` in memory."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], JudgeResult] = {}

    async def keep(self, caller: Caller, result: JudgeResult) -> None:
        self.kept[caller.key_id, result.id] = result

    async def find(self, caller: Caller, id: str) -> JudgeResult | None:
        return self.kept.get((caller.key_id, id))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_kept_verdict_is_found_by_the_same_key_only(stream: bool) -> None:
    given = context(asked=settings(auth=with_keys()))
    given.archive = Shelf()
    async with client_of(given) as http:
        answer = await http.post("/v1/judge", json=asks(picture(), store=True, stream=stream), headers=bearer(KEY))
        result = lines_of(answer.text)[0]["result"] if stream else answer.json()["results"][0]
        mine = await http.get(f"/v1/verdicts/{result['id']}", headers=bearer(KEY))
        others = await http.get(f"/v1/verdicts/{result['id']}", headers=bearer(OTHER_KEY))
    assert (mine.status_code, mine.json()) == (200, result)
    assert (others.status_code, others.json()["error"]["type"]) == (404, "not_found_error")


async def test_nothing_is_kept_unasked() -> None:
    given = context()
    given.archive = shelf = Shelf()
    async with client_of(given) as http:
        answer = await http.post("/v1/judge", json=asks(picture()))
        found = await http.get(f"/v1/verdicts/{answer.json()['results'][0]['id']}")
    assert (found.status_code, shelf.kept) == (404, {})


async def test_without_an_archive_there_is_no_verdict() -> None:
    async with client() as http:
        answer = await http.post("/v1/judge", json=asks(picture(), store=True))
        found = await http.get(f"/v1/verdicts/{answer.json()['results'][0]['id']}")
    assert (answer.status_code, found.status_code) == (200, 404)
