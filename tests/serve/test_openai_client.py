"""OpenAI's own Python client against a real server on a real port, with the embedded model: usage as anywhere else."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import openai
import pytest
import uvicorn
from openai.types import (
    ModerationCreateResponse,
    ModerationImageURLInputParam,
    ModerationMultiModalInputParam,
    ModerationTextInputParam,
)

from serve.context import Context
from serve.gateway import create_gateway
from serve.settings import ServeSettings
from tests.serve.contract_app import HARMFUL, HARMLESS, UNCERTAIN, WithTexts, embedded_service

KEY = "not-a-secret"
START_LIMIT_S = 60.0


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Base URL of a server in a thread, on a free port of the loopback."""
    gateway = create_gateway(Context(ServeSettings(), embedded_service(), WithTexts()))
    server = uvicorn.Server(uvicorn.Config(gateway, host="127.0.0.1", port=0, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    give_up = time.monotonic() + START_LIMIT_S
    while not server.started and thread.is_alive() and time.monotonic() < give_up:
        time.sleep(0.01)
    assert server.started
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/v1"
    server.should_exit = True
    thread.join(START_LIMIT_S)


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=address, api_key=KEY, max_retries=0) as found:
        yield found


def picture(url: str) -> ModerationImageURLInputParam:
    return {"type": "image_url", "image_url": {"url": url}}


def words(text: str) -> ModerationTextInputParam:
    return {"type": "text", "text": text}


def test_a_harmful_picture_with_a_caption(client: openai.OpenAI) -> None:
    parts: list[ModerationMultiModalInputParam] = [words("my new kitchen"), picture(HARMFUL)]
    response = client.moderations.create(model="omni-moderation-latest", input=parts)
    (result,) = response.results
    assert response.id.startswith("modr-")
    assert response.model == "stickers@1.0.2"
    assert result.flagged is True
    assert result.categories.violence is True
    assert result.categories.sexual_minors is False
    assert result.category_scores.violence > result.category_scores.self_harm_intent == 0.0
    assert result.category_applied_input_types.violence == ["image"]
    assert result.model_extra
    assert result.model_extra["visual_judge"]["decision"] == "unsafe"


def test_several_pictures_and_one_in_doubt(client: openai.OpenAI) -> None:
    (harmless,) = client.moderations.create(input=[picture(HARMLESS)]).results
    (doubtful,) = client.moderations.create(input=[picture(HARMLESS), picture(UNCERTAIN)]).results
    assert (harmless.flagged, doubtful.flagged) == (False, True)
    assert doubtful.model_extra
    assert [each["decision"] for each in doubtful.model_extra["visual_judge"]["findings"]] == ["safe", "uncertain"]


def test_every_field_that_openai_declares_is_there_with_its_type(client: openai.OpenAI) -> None:
    """What is checked here the client itself only assumes; types of input are ours to say, so they are left out."""
    raw = client.moderations.with_raw_response.create(input=[picture(HARMLESS)])
    body = raw.http_response.json()
    for name, kinds in body["results"][0]["category_applied_input_types"].items():
        assert set(kinds) <= {"image"}, name
        kinds.clear()
    response = ModerationCreateResponse.model_validate(body, strict=True)
    (result,) = response.results
    for part in (result.categories, result.category_scores, result.category_applied_input_types):
        assert not part.model_extra
        assert all(value is not None for value in part.model_dump().values())
    assert raw.headers["x-request-id"] == response.id.removeprefix("modr-")


async def test_the_asynchronous_client(address: str) -> None:
    async with openai.AsyncOpenAI(base_url=address, api_key=KEY) as client:
        response = await client.moderations.create(model="stickers", input=[picture(HARMFUL)])
        with pytest.raises(openai.BadRequestError, match="has no rule about text"):
            await client.moderations.create(input="a text")
    assert response.results[0].flagged


def test_options_timeouts_and_more_fields(client: openai.OpenAI) -> None:
    patient = client.with_options(timeout=60.0, max_retries=2)
    assert patient.moderations.create(input=[picture(HARMLESS)], timeout=30.0).results[0].flagged is False
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=1e-4).moderations.create(input=[picture(HARMLESS)])
    with pytest.raises(openai.BadRequestError) as refused:
        client.moderations.create(input=[picture(HARMLESS)], extra_body={"threshold": 0.1})
    assert refused.value.code == "unknown_field"


@pytest.mark.parametrize(
    ("ask", "code", "param"),
    [
        (lambda client: client.moderations.create(input=["a", "b"]), "text_not_judged", "input"),
        (lambda client: client.moderations.create(input=[]), "invalid_field", "input"),
        (lambda client: client.moderations.create(input=[picture("data:,@@")]), "invalid_base64", "input"),
        (lambda client: client.moderations.create(input=[picture(HARMLESS[:222])]), "invalid_input", "input"),
        (lambda client: client.moderations.create(input=[picture("https://a.example/")]), "url_not_allowed", "input"),
        (lambda client: client.moderations.create(input=[picture(HARMLESS)], model="gpt"), "model_not_found", "model"),
        (lambda client: client.moderations.create(input=[picture(HARMLESS)] * 100), "too_many_inputs", "input"),
    ],
)  # fmt: skip
def test_errors_are_openais(
    client: openai.OpenAI, ask: Callable[[openai.OpenAI], object], code: str, param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(client)
    error = refused.value
    assert (error.status_code, error.code, error.param, error.type) == (400, code, param, "invalid_request_error")
    assert error.request_id
    assert error.body


def test_the_server_goes_on_after_a_client_that_left(address: str, client: openai.OpenAI) -> None:
    body = json.dumps({"input": [picture(HARMFUL)] * 4}).encode()
    head = f"POST /v1/moderations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    for sent in (body, body[:1000]):
        with socket.create_connection(
            ("127.0.0.1", int(address.split(":")[2].split("/", maxsplit=1)[0]))
        ) as connection:
            connection.sendall(head.encode() + b"\r\n\r\n" + sent)
    assert client.moderations.create(input=[picture(HARMLESS)]).results[0].flagged is False
