"""The client against the real gateway on a real port, with the embedded model."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from PIL import Image

from judge.assets import sample_media_path
from judge.client import JudgeClient, MediaItem, NotAllowed, NotFound, RateLimited, Refused, Unavailable
from judge.errors import EngineError
from serve.context import Context
from serve.gate import build_gate
from serve.gateway import create_gateway
from serve.problems import Overloaded
from tests.client.clients import KINDS, open_client
from tests.client.servers import serving
from tests.serve.gateways import KEY, RaisingBackend, context, embedded_service, settings, with_keys

HARMFUL = sample_media_path("demo") / "harmful-violence-weapon_threat.png"
HARMLESS = sample_media_path("demo") / "harmless-1.png"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    asked = settings(auth=with_keys())
    with serving(create_gateway(Context(asked, embedded_service(), gate=build_gate(asked)))) as url:
        yield url


@pytest.fixture(params=KINDS)
def client(request: pytest.FixtureRequest, address: str) -> Iterator[JudgeClient]:
    with open_client(request.param, address, api_key=KEY) as found:
        yield found


def test_every_kind_of_media_is_judged_in_its_place(client: JudgeClient) -> None:
    harmful = HARMFUL.read_bytes()
    data_url = f"data:image/png;base64,{base64.b64encode(HARMLESS.read_bytes()).decode()}"
    with Image.open(HARMFUL) as picture:
        picture.load()
    item = MediaItem(data=base64.b64encode(harmful).decode(), name="mine")
    results = client.judge([HARMLESS, harmful, picture, data_url, item, b"no picture"], constitution="stickers@1.0.2")
    assert [(each.input, each.decision, each.flagged) for each in results] == [
        ("harmless-1.png", "safe", False),
        ("1", "unsafe", True),
        ("2", "unsafe", True),
        ("3", "safe", False),
        ("mine", "unsafe", True),
        ("5", "uncertain", None),
    ]
    assert results[5].error is not None
    assert (results[5].error.code, results[5].verdict, results[5].score) == ("media", None, None)


def test_a_single_picture_needs_no_list(client: JudgeClient) -> None:
    (result,) = client.judge(HARMFUL)
    assert result.verdict is not None
    assert result.verdict.constitution == "stickers@1.0.2"
    assert all(rule.evidence == () for rule in result.verdict.rules)
    (explained,) = client.judge(HARMFUL, explain=True)
    assert explained.verdict is not None
    assert any(rule.evidence for rule in explained.verdict.rules)


def test_media_that_cannot_be_read_are_rows_also_where_there_is_no_other(client: JudgeClient) -> None:
    (alone,) = client.judge(b"no picture")
    assert (alone.input, alone.decision, alone.flagged, alone.score) == ("0", "uncertain", None, None)
    assert alone.error is not None
    assert alone.error.code == "media"
    both = client.judge([b"no picture", b"nor this"])
    assert [(each.input, each.error is not None) for each in both] == [("0", True), ("1", True)]


def test_a_stream_has_the_fast_verdict_and_the_final_one(client: JudgeClient) -> None:
    lines = list(client.stream([HARMFUL, b"no picture"], stages={"vote": True}))
    of_first = [line for line in lines if line.index == 0]
    assert [line.final for line in of_first] == [False] * (len(of_first) - 1) + [True]
    assert {line.result.decision for line in of_first if line.result} == {"unsafe"}
    (of_second,) = [line for line in lines if line.index == 1]
    assert of_second.final
    assert of_second.result is not None
    assert of_second.result.error is not None


def test_models_and_health(client: JudgeClient) -> None:
    (model,) = client.models()
    assert (model.id, model.role) == ("stickers-vlm", "judge")
    assert "choice_probabilities" in model.capabilities
    assert client.health() is None


def test_what_the_service_refuses_comes_with_its_code_hint_and_request_id(client: JudgeClient) -> None:
    with pytest.raises(Refused) as caught:
        client.judge(HARMLESS, constitution="stickerz")
    error = caught.value
    assert (error.status, error.error_code, error.hint) == (400, "config", "did you mean 'stickers'?")
    assert len(error.request_id) == 32
    with pytest.raises(Refused, match="16 files"):
        client.judge([HARMLESS] * 17)
    with pytest.raises(NotFound):
        client.verdict("../models")


def test_a_url_is_the_service_s_to_fetch_and_off_by_default(client: JudgeClient) -> None:
    with pytest.raises(Refused) as caught:
        client.judge(["https://images.example.org/a.jpg", HARMLESS])
    assert (caught.value.status, caught.value.param) == (422, "media")


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_key_is_not_tried_twice_and_not_told(kind: str, address: str) -> None:
    with open_client(kind, address, api_key="wrong-key-of-somebody") as client:
        with pytest.raises(NotAllowed) as caught:
            client.judge(HARMLESS)
        assert caught.value.status == 401
        assert "wrong-key" not in f"{caught.value!s}{caught.value!r}{client!r}"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("raised", "expected"), [(Overloaded("full"), RateLimited), (EngineError("it died"), Unavailable)]
)
def test_what_stays_full_or_broken_is_told_after_the_last_try(
    kind: str, raised: Exception, expected: type[Exception]
) -> None:
    gateway = create_gateway(context(RaisingBackend(raised)))
    with serving(gateway) as url, open_client(kind, url, max_retries=0) as client:
        with pytest.raises(expected):
            client.judge(HARMLESS)
        with pytest.raises(expected):
            list(client.stream(HARMLESS))


def test_words_posted_with_media_reach_their_own(client: JudgeClient) -> None:
    plain, worded = client.judge([HARMLESS, HARMLESS], text=["", "look at this"])
    assert plain.verdict is not None
    assert worded.verdict is not None
    assert plain.verdict.notices != worded.verdict.notices
