"""What goes wrong on the way: tried again, told, or given up; never taken for an answer."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from judge.client import ClientError, JudgeClient, OutOfTime, RateLimited, Refused, Unavailable, UnreadableAnswer
from judge.client.attempts import Attempts, Limits, retry_after_s
from judge.errors import ConfigError
from tests.client.clients import KINDS, open_client
from tests.client.servers import HANG_UP, Answer, as_json, error, scripted

PICTURE = b"the bytes of a picture"
RESULT = {"id": "r1", "input": "0", "decision": "uncertain", "flagged": None, "score": None,
          "error": {"code": "media", "message": "m"}}  # fmt: skip
GOOD = as_json({"id": "q1", "constitution": "stickers@1", "results": [RESULT]})
LINE = json.dumps({"type": "verdict", "index": 0, "final": False, "result": RESULT}).encode() + b"\n"
DONE = b'{"type": "done"}\n'
FAILED = b'{"type": "error", "error": {"message": "full", "type": "overloaded_error", "code": "overloaded"}}\n'


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_what_may_help_is_tried_again_with_the_same_media(kind: str) -> None:
    bad_gateway = Answer(502, b"<html>")
    with (
        scripted(error(503, "engine_unavailable"), error(429, "overloaded", Retry_After="0"), HANG_UP, GOOD) as server,
        open_client(kind, server.url, api_key="secret") as client,
    ):
        (result,) = client.judge(PICTURE)
    assert result.id == "r1"
    assert [seen.path for seen in server.seen] == ["/v1/judge"] * 4
    assert all(PICTURE in seen.body for seen in server.seen)
    assert all(seen.headers["Authorization"] == "Bearer secret" for seen in server.seen)
    with scripted(bad_gateway, GOOD) as server, open_client(kind, server.url) as client:
        assert len(client.judge(PICTURE)) == 1


def test_a_body_that_breaks_off_is_asked_for_again(kind: str) -> None:
    broken = Answer(200, GOOD.body[:20], promised=len(GOOD.body))
    with scripted(broken, GOOD) as server, open_client(kind, server.url) as client:
        assert [each.id for each in client.judge(PICTURE)] == ["r1"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 415, 422])
def test_other_refusals_are_not_tried_again(kind: str, status: int) -> None:
    refusing = scripted(error(status, "wrong"))
    with refusing as server, open_client(kind, server.url) as client, pytest.raises(Refused) as caught:
        client.judge(PICTURE)
    told = caught.value
    assert (told.status, told.error_code, told.message) == (status, "wrong", "a sentence about wrong")
    assert (told.hint, told.request_id, told.retryable) == ("a hint", "request-7", False)
    assert len(server.seen) == 1


@pytest.mark.parametrize("status", [500, 504])
def test_faults_of_the_service_are_not_tried_again(kind: str, status: int) -> None:
    failing = scripted(error(status, "fault"))
    with failing as server, open_client(kind, server.url) as client, pytest.raises(ClientError):
        client.judge(PICTURE)
    assert len(server.seen) == 1


def test_tries_end(kind: str) -> None:
    full = scripted(error(429, "overloaded", Retry_After="0"))
    with full as server, open_client(kind, server.url, max_retries=2) as client, pytest.raises(RateLimited) as caught:
        client.judge(PICTURE)
    assert len(server.seen) == 3
    assert caught.value.retry_after_s == 0.0


def test_nobody_waits_for_a_try_that_comes_after_the_time(kind: str) -> None:
    used_up = scripted(error(429, "quota", Retry_After="3600"), GOOD)
    with used_up as server, open_client(kind, server.url, timeout_s=60) as client, pytest.raises(RateLimited) as caught:
        client.judge(PICTURE)
    assert (len(server.seen), caught.value.retry_after_s) == (1, 3600.0)


def test_an_answer_that_does_not_come(kind: str) -> None:
    slow = Answer(200, GOOD.body, after_s=1.0)
    with scripted(slow) as server, open_client(kind, server.url, timeout_s=0.2) as client:
        with pytest.raises(OutOfTime):
            client.judge(PICTURE)
        with pytest.raises(OutOfTime):
            list(client.stream(PICTURE))


def test_nobody_there(kind: str) -> None:
    with scripted(GOOD) as server:
        url = server.url
    with open_client(kind, url, max_retries=1) as client, pytest.raises(Unavailable) as caught:
        client.judge(PICTURE)
    assert caught.value.status is None


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, b"<html>a proxy's page</html>"),
        as_json({"id": "q1", "constitution": "s@1", "results": []}),
        as_json({"id": "q1", "constitution": "s@1", "results": [{**RESULT, "error": None, "decision": "fine"}]}),
    ],
)
def test_an_answer_of_somebody_else_is_no_verdict(kind: str, answer: Answer) -> None:
    with scripted(answer) as server, open_client(kind, server.url) as client, pytest.raises(UnreadableAnswer):
        client.judge(PICTURE)
    assert len(server.seen) == 1


def test_the_key_does_not_go_where_a_redirect_leads(kind: str) -> None:
    with (
        scripted(GOOD) as other,
        scripted(Answer(307, headers={"Location": f"{other.url}/v1/judge"})) as server,
        open_client(kind, server.url, api_key="secret") as client,
    ):
        with pytest.raises(UnreadableAnswer):
            client.judge(PICTURE)
        assert other.seen == []


def test_a_stream_is_tried_again_until_it_begins(kind: str) -> None:
    with (
        scripted(error(503, "engine_unavailable"), HANG_UP, Answer(200, LINE + DONE)) as server,
        open_client(kind, server.url) as client,
    ):
        lines = list(client.stream(PICTURE))
    assert [line.index for line in lines] == [0]
    assert len(server.seen) == 3


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(200, LINE + FAILED), RateLimited),
        (Answer(200, LINE), Unavailable),
        (Answer(200, LINE, promised=1000), Unavailable),
        (Answer(200, LINE + b"<html>\n"), UnreadableAnswer),
    ],
)
def test_a_stream_that_fails_says_so_after_its_lines(kind: str, answer: Answer, expected: type[ClientError]) -> None:
    with scripted(answer) as server, open_client(kind, server.url) as client:
        lines = client.stream(PICTURE)
        assert next(lines).index == 0
        with pytest.raises(expected):
            next(lines)
    assert len(server.seen) == 1


def test_pauses_grow_and_are_never_shorter_than_the_service_asks() -> None:
    attempts = Attempts(Limits(1000.0, 4))
    pauses = [attempts.pause_s(Unavailable("gone")) for _ in range(4)]
    assert all(0.25 * 2**n <= pause <= 0.375 * 2**n for n, pause in enumerate(pauses))
    with pytest.raises(Unavailable, match="gone"):
        attempts.pause_s(Unavailable("gone"))
    assert Attempts(Limits(1000.0, 4)).pause_s(RateLimited("full", retry_after_s=7.0)) >= 7.0


def test_retry_after_is_seconds_or_a_date() -> None:
    later = retry_after_s(format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True))
    assert later is not None
    assert 50 < later <= 100
    assert [retry_after_s(text) for text in ("3", "0.5", "Wed, 21 Oct 2015 07:28:00 GMT")] == [3.0, 0.5, 0.0]
    assert [retry_after_s(text) for text in ("", "soon", "-3", "1e")] == [None] * 4


def test_errors_survive_the_way_between_processes() -> None:
    told = RateLimited("full", hint="wait", status=429, error_code="overloaded", request_id="q", retry_after_s=2.0)
    copy = pickle.loads(pickle.dumps(told))
    assert type(copy) is RateLimited
    assert (copy.message, copy.hint, copy.status, copy.retry_after_s) == ("full", "wait", 429, 2.0)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8000", "ftp://127.0.0.1", "file:///x", "http://", "http://[::1"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(ConfigError):
        JudgeClient(url)


@pytest.mark.parametrize("key", ["", "with\nline end", "schlüssel"])
def test_keys_that_are_none(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        JudgeClient("http://127.0.0.1:8000", api_key=key)
    assert not key or key not in str(caught.value)
