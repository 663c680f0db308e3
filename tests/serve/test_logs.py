"""One line of JSON a request; never media, keys, or what a URL's query says."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest

from judge.errors import MediaError
from serve.logs import JsonFormatter, configure_logs

from .gateways import KEY, RaisingBackend, asks, bearer, client, picture, settings, with_keys


@pytest.fixture
def log() -> Iterator[StringIO]:
    loggers = [logging.getLogger(name) for name in ("serve", "judge", "uvicorn.access")]
    before = [(each.handlers, each.propagate, each.level, each.disabled) for each in loggers]
    written = StringIO()
    configure_logs("info", written)
    yield written
    for each, state in zip(loggers, before, strict=True):
        each.handlers, each.propagate, each.level, each.disabled = state


def lines(log: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


async def test_one_line_a_request(log: StringIO) -> None:
    body = json.dumps(asks(picture(), b"no picture")).encode()
    async with client(asked=settings(auth=with_keys())) as http:
        await http.post(
            "/v1/judge?token=in-the-query", content=body,
            headers={**bearer(KEY), "X-Request-Id": "mine-1", "Content-Type": "application/json"},
        )  # fmt: skip
    (line,) = lines(log)
    assert line.pop("ms") > 0
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "info", "logger": "serve.requests", "message": "request", "request_id": "mine-1", "key": KEY,
        "method": "POST", "route": "/v1/judge", "status": 200, "media": 2, "bytes": len(body),
        "decisions": {"safe": 1}, "failed": 1, "error": "",
    }  # fmt: skip


async def test_a_stream_is_counted_as_well(log: StringIO) -> None:
    async with client() as http:
        await http.post("/v1/judge", json=asks(picture(), picture(), stream=True))
    (line,) = lines(log)
    assert (line["status"], line["media"], line["decisions"], line["failed"]) == (200, 2, {"safe": 2}, 0)


async def test_refusals_are_logged_with_their_code(log: StringIO) -> None:
    async with client(asked=settings(auth=with_keys())) as http:
        await http.get("/v1/verdicts/some-id?x=1", headers=bearer("wrong-key"))
        await http.get("/nowhere/some-id?x=1")
    shown = [(line["route"], line["status"], line["error"], line["key"]) for line in lines(log)]
    assert shown == [("/v1/verdicts/{id}", 401, "invalid_api_key", ""), ("", 404, "not_found", "")]


async def test_nothing_secret_is_written(log: StringIO) -> None:
    data = picture()
    failing = RaisingBackend(ValueError(f"about {base64.b64encode(data).decode()} and a-secret"))
    async with client(failing, settings(auth=with_keys())) as http:
        await http.post("/v1/judge?q=in-the-query", json=asks(data), headers=bearer("sk-a-key-of-mine"))
        answer = await http.post("/v1/judge?q=in-the-query", json=asks(data), headers=bearer(KEY))
    assert answer.status_code == 500
    error, request = lines(log)[1:]
    assert (error["level"], error["message"], error["request_id"]) == (
        "error",
        "unforeseen error",
        request["request_id"],
    )
    assert [line.partition(" at ")[0] for line in error["exception"]] == ["ExceptionGroup", "ValueError"]
    for secret in ("sk-a-key-of-mine", "in-the-query", base64.b64encode(data).decode()[:20], "a-secret"):
        assert secret not in log.getvalue()


def test_our_own_errors_are_written_in_full() -> None:
    record = logging.LogRecord("serve", logging.ERROR, "", 0, "failed", None, None)
    try:
        try:
            raise KeyError("secret")
        except KeyError as error:
            raise MediaError("file 'a' is empty", hint="send another") from error
    except MediaError as error:
        record.exc_info = (type(error), error, error.__traceback__)
    written = json.loads(JsonFormatter().format(record))["exception"]
    assert [line.partition(" at ")[0] for line in written] == [
        "MediaError: file 'a' is empty (send another)",
        "KeyError",
    ]


@pytest.mark.parametrize("given", ["a b", "x" * 101, "-a", "a\u00e9", '{"a":1}', ""])
async def test_an_id_that_could_confuse_a_log_is_replaced(given: str) -> None:
    async with client() as http:
        answer = await http.get("/healthz", headers={"X-Request-Id": given.encode("latin-1")})
    assert len(answer.headers["X-Request-Id"]) == 32
    assert answer.headers["X-Request-Id"] != given


@pytest.mark.parametrize("given", ["a", "0" * 100, "018f3c-ab_c.9"])
async def test_a_callers_id_is_kept(given: str) -> None:
    async with client() as http:
        answer = await http.get("/nowhere", headers={"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] == answer.json()["error"]["request_id"] == given
