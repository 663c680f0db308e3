"""Sizes, room and pace, over the real gateway; what needs a connection, over a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import APIRouter

from serve import gateway
from serve.context import Context
from serve.gateway import create_gateway

from .gateways import (
    BLUE,
    KEY,
    RED,
    HangingBackend,
    WaitingEngine,
    asks,
    bearer,
    client,
    context,
    picture,
    scripted_service,
    settings,
    with_keys,
)  # fmt: skip

LINE = b"POST /v1/judge HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@asynccontextmanager
async def server(given: Context) -> AsyncIterator[int]:
    """A real server on a free port of the loopback address, on the test's own loop."""
    running = uvicorn.Server(uvicorn.Config(create_gateway(given), port=0, log_config=None, server_header=False))
    task = asyncio.create_task(running.serve())
    while not running.started:
        await asyncio.sleep(0.01)
    try:
        yield running.servers[0].sockets[0].getsockname()[1]
    finally:
        running.should_exit = running.force_exit = True
        await task


async def answer_to(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    return int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"]))


# --- sizes --------------------------------------------------------------------------------------------------


async def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    async with server(context(asked=settings(http={"max_body_bytes": 1000}))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LINE + b"Content-Length: 1001\r\n\r\n")  # and nothing more
        status, headers, body = await answer_to(reader)
        writer.close()
    error = json.loads(body)["error"]
    assert (status, error["code"], error["message"]) == (413, "body_too_large", "the body is larger than 1,000 bytes")
    assert "server" not in headers


async def test_a_body_in_chunks_is_stopped_when_it_is_too_large() -> None:
    async with server(context(asked=settings(http={"max_body_bytes": 1000}))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LINE + b"Transfer-Encoding: chunked\r\n\r\n" + b"1f4\r\n" + b" " * 500 + b"\r\n")
        writer.write(b"1f5\r\n" + b" " * 501 + b"\r\n")  # the end never comes
        status, _, body = await answer_to(reader)
        writer.close()
    assert (status, json.loads(body)["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("form", [False, True])
async def test_a_body_just_as_large_as_it_may_be(form: bool) -> None:
    asked = httpx.Request(
        "POST", "http://localhost", **({"files": {"media": picture()}} if form else {"json": asks(picture())})
    )  # type: ignore[arg-type]
    size = len(asked.read())
    for most, status in ((size, 200), (size - 1, 413)):
        async with client(asked=settings(http={"max_body_bytes": most})) as http:
            answer = await http.post("/v1/judge", content=asked.content, headers=dict(asked.headers))
        assert answer.status_code == status


@pytest.mark.parametrize("form", [False, True])
async def test_media_larger_than_they_may_be(form: bool) -> None:
    data = picture()
    sent: dict[str, Any] = {"files": {"media": data}} if form else {"json": asks(data)}
    for most, status in ((len(data), 200), (len(data) - 1, 413)):
        async with client(asked=settings(http={"max_media_bytes": most})) as http:
            answer = await http.post("/v1/judge", **sent)
        assert answer.status_code == status
    error = answer.json()["error"]
    assert (error["code"], error["message"]) == ("media_too_large", f"one of the media is larger than {most:,} bytes")


async def test_more_media_than_one_request_may_have() -> None:
    async with client(asked=settings(http={"max_media": 2})) as http:
        as_json = await http.post("/v1/judge", json=asks(*[picture()] * 3))
        as_form = await http.post("/v1/judge", files=[("media", ("a", picture()))] * 3)
        fits = await http.post("/v1/judge", files=[("media", ("a", picture()))] * 2, data={"text": ["a", "b"]})
    assert as_json.status_code == 422
    assert as_json.json()["error"]["message"] == "3 media are more than the 2 of one request"
    assert as_form.status_code == 400
    assert as_form.json()["error"]["hint"] == "at most 2 files, a boundary, and names for all parts"
    assert fits.status_code == 200


@pytest.mark.parametrize("length", ["-1", "1e3", "x", "9" * 30])
async def test_a_length_that_is_no_number(length: str) -> None:
    async with client() as http:
        answer = await http.post("/v1/judge", content=b"{}", headers={"Content-Length": length})
    assert answer.status_code in (400, 413)
    assert answer.json()["error"]["code"] in ("invalid_request", "body_too_large")


async def test_bodies_that_fastapi_reads_are_refused_in_the_same_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def echo(given: Context) -> APIRouter:
        routes = APIRouter()

        @routes.post("/echo")
        async def answer(body: dict[str, int]) -> dict[str, int]:
            return body

        return routes

    async def chunks(pieces: int) -> AsyncIterator[bytes]:
        for piece in (b'{"a": 1', *[b" "] * pieces, b"}"):
            yield piece

    monkeypatch.setattr(gateway, "ROUTERS", (echo,))
    headers = {"Content-Type": "application/json"}
    async with client(asked=settings(http={"max_body_bytes": 100})) as http:
        answers = [
            await http.post("/echo", content=content, headers=headers)
            for content in (chunks(10), chunks(1000), b"{", b'{"a": "b"}', b'{"\\ud800": "b"}', b"[" * 100, b"\xff")
        ]
    shown = [(each.status_code, each.json().get("error", {}).get("code"), each.json().get("a")) for each in answers]
    assert shown == [
        (200, None, 1), (413, "body_too_large", None), (400, "invalid_body", None), (422, "invalid_request", None),
        (422, "invalid_request", None), (400, "invalid_body", None), (400, "invalid_body", None),
    ]  # fmt: skip
    assert answers[3].json()["error"]["message"] == "'a' must be a whole number"


# --- pace ---------------------------------------------------------------------------------------------------


async def test_a_slow_body_is_given_up() -> None:
    async with server(context(asked=settings(http={"body_timeout_s": 0.2}))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LINE + b"Content-Length: 100\r\n\r\n{")
        status, headers, body = await answer_to(reader)
        writer.close()
    assert (status, json.loads(body)["error"]["code"]) == (408, "body_timeout")
    assert headers["connection"] == "close"


async def test_a_drip_of_bytes_is_given_up_too() -> None:
    async with server(context(asked=settings(http={"body_timeout_s": 0.2}))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LINE + b"Content-Length: 100000\r\n\r\n{")
        answering = asyncio.create_task(answer_to(reader))
        while not answering.done():
            writer.write(b" ")
            await asyncio.sleep(0.01)
        writer.close()
    assert (await answering)[0] == 408


async def test_without_a_key_the_body_is_not_waited_for() -> None:
    async with server(context(asked=settings(auth=with_keys()))) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LINE + b"Content-Length: 1000\r\n\r\n")
        status, _, _ = await answer_to(reader)
        writer.close()
    assert status == 401


# --- room ---------------------------------------------------------------------------------------------------


async def test_a_full_queue_refuses_before_reading_and_lets_in_again() -> None:
    engine = WaitingEngine()
    small = settings(queue={"max_ongoing": 1, "max_queued": 1, "retry_after_s": 2.4})
    given = context(scripted_service(engine, small), small)
    async with server(given) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        unequal = [picture(RED) + mark for mark in (b"1", b"2")]  # equal ones are judged once
        waiting = [asyncio.create_task(http.post("/v1/judge", json=asks(data))) for data in unequal]
        await engine.asked.wait()
        while engine.n_waiting < 2:
            await asyncio.sleep(0.01)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LINE + b"Content-Length: 1000\r\n\r\n")  # no body: it is refused before
        status, headers, body = await answer_to(reader)
        writer.close()
        engine.may_answer.set()
        answers = await asyncio.gather(*waiting)
        after = await http.post("/v1/judge", json=asks(picture(BLUE)))
    assert (status, headers["retry-after"], json.loads(body)["error"]["code"]) == (429, "2", "overloaded")
    assert [answer.status_code for answer in answers] == [200, 200]
    assert after.status_code == 200


async def test_media_of_a_request_count_each_but_one_alone_is_never_refused() -> None:
    engine = WaitingEngine()
    small = settings(queue={"max_ongoing": 1, "max_queued": 2})
    async with client(scripted_service(engine, small), small) as http:
        alone = await http.post("/v1/judge", json=asks(*[picture(BLUE)] * 5))
        waiting = asyncio.create_task(http.post("/v1/judge", json=asks(picture(RED))))
        await engine.asked.wait()
        too_many = await http.post("/v1/judge", json=asks(*[picture(BLUE)] * 3))
        fits = await http.post("/v1/judge", json=asks(*[picture(BLUE)] * 2))
        engine.may_answer.set()
        answered = await waiting
    assert [answer.status_code for answer in (alone, too_many, fits, answered)] == [200, 429, 200, 200]


@pytest.mark.parametrize("chunked", [False, True])
async def test_bytes_under_way_are_bounded(chunked: bool) -> None:
    engine = WaitingEngine()
    small = settings(queue={"max_queued_bytes": 1000})
    padded = json.dumps(asks(picture(BLUE))).encode() + b" " * 900

    async def in_pieces() -> AsyncIterator[bytes]:
        yield padded[:500]
        yield padded[500:]

    async with client(scripted_service(engine, small), small) as http:
        waiting = asyncio.create_task(http.post("/v1/judge", json=asks(picture(RED))))
        await engine.asked.wait()
        headers = {"Content-Type": "application/json"}
        refused = await http.post("/v1/judge", content=in_pieces() if chunked else padded, headers=headers)
        engine.may_answer.set()
        await waiting
        alone = await http.post("/v1/judge", content=padded, headers=headers)
    assert (refused.status_code, refused.json()["error"]["message"]) == (429, "too much data is under way")
    assert alone.status_code == 200


async def test_places_are_given_back_whatever_happens() -> None:
    small = settings(queue={"max_ongoing": 1, "max_queued": 0})
    async with client(asked=small) as http:
        for content in (b"{", b"[]", json.dumps(asks(b"no picture")).encode()) * 3:
            await http.post("/v1/judge", content=content, headers={"Content-Type": "application/json"})
        answer = await asyncio.gather(http.post("/v1/judge", json=asks(picture())))
    assert answer[0].status_code == 200


# --- hanging up ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
async def test_a_caller_that_hangs_up_ends_the_work(stream: bool) -> None:
    engine = WaitingEngine()
    body = json.dumps(asks(picture(RED), picture(RED), stream=stream)).encode()
    async with server(context(scripted_service(engine))) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LINE + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await engine.asked.wait()
        writer.close()
        assert await asyncio.wait_for(engine.stopped.wait(), 20)


async def test_a_caller_that_hangs_up_frees_its_place() -> None:
    backend = HangingBackend()
    body = json.dumps(asks(picture())).encode()
    small = settings(queue={"max_ongoing": 1, "max_queued": 0}, auth=with_keys())
    async with server(context(backend, small)) as port, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LINE + f"X-API-Key: {KEY}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        while (await http.post("/v1/judge", content=b"{", headers=bearer(KEY))).status_code != 429:
            await asyncio.sleep(0.01)
        writer.close()
        await asyncio.wait_for(backend.stopped.wait(), 20)
        freed = await http.post("/v1/judge", content=b"{", headers=bearer(KEY))
    assert freed.status_code == 415
