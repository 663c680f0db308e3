"""The engine over real HTTP against a server in this process that can misbehave in every way we know."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from judge.assets import sample_media_path
from judge.config import EngineConfig, JudgeConfig, OpenAIOptions, Thresholds, load_config
from judge.constitution import parse_constitution
from judge.engines.base import Capabilities
from judge.engines.batch_pictures import encode_pictures
from judge.engines.build import build_engine
from judge.engines.chat_client import Patience
from judge.engines.circuit_breaker import COOL_DOWN_S
from judge.engines.encoding import PromptEncoder
from judge.engines.openai import OpenAIEngine
from judge.engines.spending import Spend
from judge.engines.transformers import TransformersEngine
from judge.errors import AnswerError, ConfigError, EngineError
from judge.media import FileMedia, Permissions, load_media
from judge.pipeline import Judge
from judge.prompts.render import precondition_prompt
from judge.stages.prior_store import PriorStore
from judge.types import ChoiceProbabilities, Frame, Generation, Media, Message, Prompt, Verdict
from tests.engines.openai_server import (
    JSON,
    Answer,
    ChatServer,
    Fault,
    Request,
    body,
    cut,
    drip,
    hang_up,
    hashed,
    huge,
    one_token,
    pixels,
    refusal,
    serve_chat,
    texts,
)

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
KEY = "sk-very-secret-0123456789"
GRAY = Frame(0, 0.0, np.full((5, 7, 3), 90, dtype=np.uint8))


@dataclass
class Clock:
    """Waits no time, but remembers; the jitter is always the highest possible."""

    waits: list[float] = field(default_factory=list)
    now_s: float = 0.0

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)

    @property
    def patience(self) -> Patience:
        return Patience(sleep=self.sleep, uniform=lambda low, high: high, now=lambda: NOW, clock=lambda: self.now_s)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def always(found: JSON) -> Answer:
    return lambda request: found


YES = always(one_token([("Yes", 0.75), ("No", 0.25)]))


@contextmanager
def running(
    clock: Clock, answer: Answer = YES, *, api_key: str = "", **options: Any
) -> Iterator[tuple[OpenAIEngine, ChatServer]]:
    """An engine, and its server with the question at start-up forgotten."""
    with serve_chat(answer) as server:
        settings = OpenAIOptions(base_url=server.base_url, **options)
        engine = OpenAIEngine("m", settings, api_key=api_key, patience=clock.patience)
        server.requests.clear()
        yield engine, server


def ask(text: str, *frames: Frame) -> Prompt:
    return Prompt((Message("user", text),), frames)


def frame(seed: int, height_px: int = 6, width_px: int = 9) -> Frame:
    image = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    return Frame(seed, 0.0, image)


def choose(engine: OpenAIEngine, *prompts: Prompt) -> list[ChoiceProbabilities]:
    return asyncio.run(engine.choose(prompts))


def failure(engine: OpenAIEngine) -> EngineError:
    with pytest.raises(EngineError) as caught:
        choose(engine, ask("dog", GRAY))
    return caught.value


# --- what is sent -------------------------------------------------------------------------------------------


def test_a_whole_request(clock: Clock) -> None:
    talk = (
        Message("system", "Be strict."),
        Message("user", "Describe."),
        Message("assistant", "A dog."),
        Message("user", "Is there a dog?"),
    )
    first, second = frame(1), frame(2)
    extra = {"chat_template_kwargs": {"enable_thinking": False}}
    with running(clock, headers={"X-Team": "judges"}, extra_body=extra, api_key=KEY) as (engine, server):
        choose(engine, Prompt(talk, (first, second)))
        (request,) = server.requests
    assert (request.path, request.headers["Authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")
    assert (request.headers["X-Team"], request.headers["Content-Type"]) == ("judges", "application/json")
    assert [pixels(url).tolist() for url in request.urls] == [first.image.tolist(), second.image.tolist()]
    assert request.body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be strict."},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": request.urls[0]}},
                    {"type": "image_url", "image_url": {"url": request.urls[1]}},
                    {"type": "text", "text": "Describe."},
                ],
            },
            {"role": "assistant", "content": "A dog."},
            {"role": "user", "content": "Is there a dog?"},
        ],
        "temperature": 0,
        "max_tokens": 1,
        "logprobs": True,
        "top_logprobs": 20,
        "chat_template_kwargs": {"enable_thinking": False},
    }


def test_pictures_are_lossless_unless_told_otherwise(clock: Clock) -> None:
    picture = frame(3, 64, 48)
    with running(clock, image_format="jpeg", image_detail="low", max_tokens_field="max_completion_tokens") as (
        engine,
        server,
    ):
        choose(engine, ask("dog", picture))
        (request,) = server.requests
    sent = pixels(request.urls[0]).astype(int)
    distance = np.abs(sent - picture.image).mean()
    assert request.urls[0].startswith("data:image/jpeg;base64,")
    assert 0.0 < distance < 20.0
    assert request.body["messages"][0]["content"][0]["image_url"]["detail"] == "low"
    assert (request.body["max_completion_tokens"], "max_tokens" in request.body) == (1, False)


def test_no_key_means_no_header(clock: Clock) -> None:
    with running(clock) as (engine, server):
        choose(engine, ask("dog"))
        assert "Authorization" not in server.requests[0].headers


def test_equal_prompts_are_asked_once(clock: Clock) -> None:
    with running(clock, hashed) as (engine, server):
        same = frame(1)
        copy = Frame(9, 4.0, same.image.copy())
        answers = choose(engine, ask("dog", same), ask("cat", same), ask("dog", copy), ask("dog"))
        assert len(server.requests) == 3
        assert len(encode_pictures([ask("dog", same), ask("cat", copy), ask("cow", same)], OpenAIOptions()).urls) == 1
    assert answers[0] == answers[2]
    assert len({answer.probabilities["Yes"] for answer in answers}) == 3


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_frames_that_are_no_pictures_are_refused(clock: Clock, image: Any) -> None:
    with running(clock) as (engine, server):
        with pytest.raises(EngineError, match=r"frame 3 is .* not uint8"):
            choose(engine, ask("dog", Frame(3, 0.0, image)))
        assert server.requests == []


def test_a_picture_that_the_format_cannot_hold(clock: Clock) -> None:
    with running(clock, image_format="jpeg") as (engine, server):
        with pytest.raises(EngineError, match="frame 2 cannot be written as jpeg"):
            choose(engine, ask("dog", frame(2, 1, 70_000)))
        assert server.requests == []


def test_no_more_requests_at_once_than_configured(clock: Clock) -> None:
    with running(clock, hashed, concurrency=3) as (engine, server):
        server.pause_s = 0.02

        async def two_batches() -> None:
            batches = [[ask(f"{name} {i}", GRAY) for i in range(8)] for name in ("dog", "cat")]
            await asyncio.gather(*(engine.choose(prompts) for prompts in batches))

        asyncio.run(two_batches())
        assert (len(server.requests), server.most_at_once) == (16, 3)


async def test_it_can_be_built_and_used_inside_an_event_loop(clock: Clock) -> None:
    with running(clock) as (engine, _):
        (answer,) = await engine.choose([ask("dog", GRAY)])
    assert answer.probabilities == pytest.approx({"Yes": 0.75, "No": 0.25})
    assert answer.mass == pytest.approx(1.0)
    assert answer.prompt_tokens == 7


def test_several_event_loops_one_after_the_other_leave_no_connection(clock: Clock) -> None:
    with running(clock, hashed) as (engine, _):
        answers = [choose(engine, ask("dog", GRAY)) for _ in range(4)]
        assert engine._client._by_loop == {}
    assert all(answer == answers[0] for answer in answers)


def test_after_closing_it_refuses(clock: Clock) -> None:
    with running(clock) as (engine, server):
        asyncio.run(engine.close())
        asyncio.run(engine.close())
        assert str(failure(engine)) == "model 'm' is closed"
        with pytest.raises(EngineError, match="is closed"):
            asyncio.run(engine.generate([], max_tokens=1))
        assert server.requests == []


# --- faults -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "wait_s"),
    [
        (refusal(500, "oops"), 0.5),
        (refusal(503, "starting"), 0.5),
        (refusal(408, "slow"), 0.5),
        (refusal(409, "busy"), 0.5),
        (refusal(429, "busy", Retry_After="3"), 3.0),
        (refusal(429, "busy", Retry_After="2.5"), 2.5),
        (refusal(429, "busy", Retry_After="0"), 0.5),
        (refusal(429, "busy", Retry_After="9999999"), 60.0),
        (refusal(429, "busy", Retry_After="soon"), 0.5),
        (refusal(503, "busy", Retry_After=format_datetime(NOW + timedelta(seconds=20), usegmt=True)), 20.0),
        (refusal(503, "busy", Retry_After=format_datetime(NOW - timedelta(hours=2), usegmt=True)), 0.5),
        (refusal(503, "busy", Retry_After=format_datetime(NOW + timedelta(days=2), usegmt=True)), 60.0),
        (cut(), 0.5),
        (hang_up, 0.5),
    ],
)
def test_a_passing_fault_is_tried_again(clock: Clock, fault: Fault, wait_s: float) -> None:
    with running(clock) as (engine, server):
        server.faults.append(fault)
        (answer,) = choose(engine, ask("dog", GRAY))
        assert answer.probabilities["Yes"] == pytest.approx(0.75)
        assert len(server.requests) == 2
        assert server.requests[0].body == server.requests[1].body
    assert clock.waits == [wait_s]


def test_waits_grow_up_to_the_longest_and_attempts_end(clock: Clock) -> None:
    with running(clock, max_attempts=6, max_wait_s=3) as (engine, server):
        server.faults.extend([refusal(500, "out of\nmemory")] * 6)
        error = failure(engine)
        assert len(server.requests) == 6
        assert error.message == (f"model server '{server.base_url}' failed 6 times, at last: status 500: out of memory")
    assert (error.retryable, clock.waits) == (True, [0.5, 1.0, 2.0, 3.0, 3.0])


def test_jitter_is_drawn_from_zero() -> None:
    drawn: list[tuple[float, float]] = []
    patience = Patience(uniform=lambda low, high: drawn.append((low, high)) or low)  # type: ignore[func-returns-value]
    assert [patience.wait_s(attempt, "", 60.0) for attempt in (1, 2, 9)] == [0.0, 0.0, 0.0]
    assert drawn == [(0.0, 0.5), (0.0, 1.0), (0.0, 60.0)]


@pytest.mark.parametrize("slow", ["silent", "dripping"])
def test_a_slow_answer_times_out_and_is_tried_again(clock: Clock, slow: str) -> None:
    with running(clock, timeout_s=1.5, max_attempts=2) as (engine, server):

        def silent(handler: object) -> None:
            server.closing.wait(20)

        fault = silent if slow == "silent" else drip(server)
        server.faults.append(fault)
        assert choose(engine, ask("dog", GRAY))[0].mass == pytest.approx(1.0)
        server.faults.extend([fault, fault])
        error = failure(engine)
        assert "failed 2 times, at last: no answer within 1.5 s" in error.message
        assert isinstance(error.__cause__, TimeoutError)


def test_a_server_that_is_gone(clock: Clock) -> None:
    with running(clock) as (engine, _):
        pass
    error = failure(engine)
    assert "failed 5 times, at last: ConnectError" in error.message
    assert len(clock.waits) == 4


def test_after_one_request_has_found_it_gone_the_others_do_not_wait(clock: Clock) -> None:
    with running(clock) as (engine, server):
        address = server.base_url
    failure(engine)
    clock.waits.clear()
    for _ in range(3):
        error = failure(engine)
        assert f"model server '{address}' could not be reached and was not asked: ConnectError" in error.message
        assert (error.retryable, clock.waits) == (True, [])
    clock.now_s = COOL_DOWN_S
    assert "failed 1 times, at last: ConnectError" in failure(engine).message  # the probe
    assert "was not asked" in failure(engine).message
    assert clock.waits == []


def test_requests_on_their_way_give_up_with_the_first(clock: Clock) -> None:
    with running(clock) as (engine, _):
        pass

    async def all_at_once() -> list[list[ChoiceProbabilities] | BaseException]:
        calls = [engine.choose([ask(f"dog {i}", GRAY)]) for i in range(40)]
        return await asyncio.gather(*calls, return_exceptions=True)

    found = asyncio.run(all_at_once())
    assert {type(error) for error in found} == {EngineError}
    assert sum("was not asked" in str(error) for error in found) >= 24  # 16 are on their way at the same time


def test_a_server_that_comes_back_is_asked_again(clock: Clock) -> None:
    with running(clock) as (engine, server):
        port = server.port
    failure(engine)
    with serve_chat(YES, port=port) as server:
        assert "was not asked" in failure(engine).message
        assert server.requests == []
        clock.now_s = COOL_DOWN_S
        for _ in range(2):
            assert choose(engine, ask("dog", GRAY))[0].probabilities["Yes"] == pytest.approx(0.75)
        server.faults.append(refusal(500, "oops"))  # a failure, but of a server that is there: as patient as ever
        assert choose(engine, ask("dog", GRAY))[0].probabilities["Yes"] == pytest.approx(0.75)
        assert len(server.requests) == 4


def test_a_server_that_answers_only_errors_is_there(clock: Clock) -> None:
    with running(clock, max_attempts=2) as (engine, server):
        server.faults.extend([refusal(503, "starting")] * 4)
        assert "failed 2 times" in failure(engine).message
        assert "failed 2 times" in failure(engine).message
        assert len(server.requests) == 4


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (400, "extra_body"),
        (401, "api_key_env"),
        (403, "api_key_env"),
        (404, "base_url"),
        (413, "smaller pictures"),
        (422, "extra_body"),
    ],
)
def test_a_refusal_is_final_and_says_what_to_check(clock: Clock, status: int, hint: str) -> None:
    with running(clock) as (engine, server):
        server.faults.append(refusal(status, "not like this"))
        error = failure(engine)
        assert len(server.requests) == 1
        assert error.message == f"model server '{server.base_url}' refused: status {status}: not like this"
    assert hint in error.hint
    assert (error.retryable, error.code, clock.waits) == (False, "engine", [])


def test_what_a_server_says_is_shown_on_one_line_of_bearable_length(clock: Clock) -> None:
    with running(clock) as (engine, server):
        server.faults.append(body(b"<html>\n\x1b[31m" + b"x" * 100_000, 400))
        message = failure(engine).message
    assert "status 400: <html> [31mxxx" in message
    assert (len(message) < 450, message.isprintable()) == (True, True)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(clock: Clock, status: int) -> None:
    with serve_chat(YES) as other, running(clock) as (engine, server):
        server.faults.append(body(b"", status, Location=f"http://127.0.0.1:{other.port}/v1/chat/completions"))
        error = failure(engine)
        assert f"refused: status {status}" in error.message
        assert "redirects are not followed" in error.hint
        assert (other.requests, len(server.requests)) == ([], 1)


def test_a_huge_answer_is_cut_off(clock: Clock) -> None:
    with running(clock) as (engine, server):
        server.faults.append(huge(7 << 20))
        assert choose(engine, ask("dog"))[0].mass == pytest.approx(0.9)
        server.faults.append(huge(64 << 20))
        assert failure(engine).message == f"model server '{server.base_url}' sent an answer of more than 8 MiB"


def test_a_compressed_answer_is_refused(clock: Clock) -> None:
    with running(clock) as (engine, server):
        server.faults.append(body(gzip.compress(b" " * (1 << 24)), Content_Encoding="gzip"))
        assert "compressed its answer" in failure(engine).message
        assert server.requests[0].headers["Accept-Encoding"] == "identity"


def without(*path: str | int) -> JSON:
    """A good answer with one thing taken out."""
    whole = one_token([("Yes", 0.75), ("No", 0.25)])
    inner: Any = whole
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return whole


def replaced(value: object, *path: str | int) -> JSON:
    whole = one_token([("Yes", 0.75), ("No", 0.25)])
    inner: Any = whole
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return whole


TOP = ("choices", 0, "logprobs", "content", 0, "top_logprobs")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "Invalid JSON"),
        (b"<html>it works</html>", "Invalid JSON"),
        (b'{"choices": [' * 5000, "Invalid JSON"),
        (b"\xff\xfe\x00", "Invalid JSON"),
        (b"[]", "Input should be an object"),
        (b"null", "Input should be an object"),
        (b'{"error": {"message": "x"}}', "choices: Field required"),
        (json.dumps(replaced([], "choices")).encode(), "choices: Tuple should have at least 1 item"),
        (json.dumps(replaced({}, "choices")).encode(), "choices: Input should be a valid"),
        (json.dumps(without("choices", 0, "message")).encode(), "choices.0.message: Field required"),
        (json.dumps(without("usage")).encode(), "usage: Field required"),
        (json.dumps(without("usage", "prompt_tokens")).encode(), "usage.prompt_tokens: Field required"),
        (json.dumps(replaced(-1, "usage", "prompt_tokens")).encode(), "usage.prompt_tokens: Input should be greater"),
        (json.dumps(replaced("7", "usage", "prompt_tokens")).encode(), "usage.prompt_tokens: Input should be a valid"),
        (json.dumps(replaced(math.nan, *TOP, 0, "logprob")).encode(), "top_logprobs.0.logprob: Value error, nan"),
        (json.dumps(replaced(math.inf, *TOP, 1, "logprob")).encode(), "top_logprobs.1.logprob: Value error, inf"),
        (json.dumps(replaced(0.5, *TOP, 1, "logprob")).encode(), "0.5 is not the logarithm of a probability"),
        (json.dumps(replaced("-1", *TOP, 0, "logprob")).encode(), "logprob: Input should be a valid number"),
        (json.dumps(replaced(None, *TOP, 0, "logprob")).encode(), "logprob: Input should be a valid number"),
        (json.dumps(without(*TOP, 0, "token")).encode(), "top_logprobs.0.token: Field required"),
        (json.dumps(replaced(-0.001, *TOP, 1, "logprob")).encode(), "likeliest tokens add up to 1.749"),
        (json.dumps(replaced(None, "choices", 0, "logprobs")).encode(), "gave no logprobs of the likeliest tokens"),
        (json.dumps(without("choices", 0, "logprobs")).encode(), "gave no logprobs of the likeliest tokens"),
        (json.dumps(replaced([], *TOP)).encode(), "gave no logprobs of the likeliest tokens"),
        (json.dumps(replaced([], *TOP[:-2])).encode(), "gave no logprobs of the likeliest tokens"),
        (json.dumps(replaced(None, *TOP[:-2])).encode(), "gave no logprobs of the likeliest tokens"),
    ],
)
def test_an_answer_that_cannot_be_read_is_an_error_that_names_what_is_wrong(
    clock: Clock, content: bytes, what: str
) -> None:
    with running(clock) as (engine, server):
        server.faults.append(body(content))
        error = failure(engine)
        assert f"model 'm' at '{server.base_url}'" in error.message
        assert what in error.message
    assert clock.waits == []


def test_one_failed_prompt_fails_its_batch_and_the_others_are_called_off(clock: Clock) -> None:
    def answer(request: Request) -> JSON:
        return {} if "cow" in request.text else hashed(request)

    with running(clock, answer, concurrency=1) as (engine, server):
        prompts = [ask("dog"), ask("cow"), *(ask(f"cat {i}") for i in range(50))]
        with pytest.raises(EngineError, match="choices: Field required"):
            choose(engine, *prompts)
        assert len(server.requests) < 10
        assert choose(engine, ask("dog"))[0].mass > 0.0


# --- keys ---------------------------------------------------------------------------------------------------


def test_the_key_shows_nowhere(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "team-secret"
    with running(clock, api_key=KEY, headers={"X-Team": secret}, max_attempts=1) as (engine, server):
        shown = [repr(engine), str(vars(engine)), str(vars(engine._client)), engine.info.digest]
        for status in (401, 500):
            server.faults.append(refusal(status, f"Incorrect API key {KEY} of {secret}"))
            error = failure(engine)
            assert "Incorrect API key [hidden] of [hidden]" in error.message
            shown += [str(error), repr(error), str(error.__cause__)]
    assert KEY not in "".join(shown) + caplog.text
    with_other_key = OpenAIOptions(base_url="http://127.0.0.1:1/v1", api_key_env="OTHER")
    assert KEY not in repr(with_other_key)


def test_the_key_comes_from_the_named_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_chat(YES) as server:
        settings = OpenAIOptions(base_url=server.base_url, api_key_env="JUDGE_TEST_KEY")
        config = EngineConfig(name="openai", model="m", openai=settings)
        monkeypatch.delenv("JUDGE_TEST_KEY", raising=False)
        with pytest.raises(ConfigError, match="environment variable 'JUDGE_TEST_KEY' is not set"):
            build_engine(config)
        monkeypatch.setenv("JUDGE_TEST_KEY", f"{KEY}\n")
        build_engine(config)
        assert [request.headers["Authorization"] for request in server.requests] == [f"Bearer {KEY}"]


@pytest.mark.parametrize("key", ["two\nlines", "k\u00e9y"])
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigError, match="characters that no header can carry") as caught:
        OpenAIEngine("m", OpenAIOptions(base_url="http://127.0.0.1:9/v1"), api_key=key)
    assert key not in str(caught.value)


def test_proxies_of_the_environment_are_not_used(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with running(clock) as (engine, _):
        assert choose(engine, ask("dog"))[0].mass == pytest.approx(1.0)


# --- start-up -----------------------------------------------------------------------------------------------


def test_a_configured_server_becomes_an_engine(tmp_path: Path) -> None:
    with serve_chat(hashed) as server:
        file = tmp_path / "judge.yaml"
        file.write_text(
            f"engine: {{name: openai, model: some/model, openai: {{base_url: '{server.base_url}/', max_frames: 4}}}}\n"
        )
        engine = build_engine(load_config(file).engine, required=Capabilities(max_frames=4))
        (probe,) = server.requests
    assert isinstance(engine, OpenAIEngine)
    assert (engine.info.name, engine.info.runtime, engine.info.domain) == ("some/model", "openai/logprobs-20", None)
    assert engine.capabilities == Capabilities(max_frames=4, structured=True)
    assert (probe.path, probe.body["model"], probe.urls) == ("/v1/chat/completions", "some/model", [])


def test_an_address_is_required() -> None:
    with pytest.raises(ConfigError, match=r"needs the address of its server \(set engine\.openai\.base_url"):
        build_engine(EngineConfig(name="openai", model="m"))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (body(json.dumps(texts("Yes")).encode()), "gave no logprobs of the likeliest tokens"),
        (refusal(400, "logprobs are not supported"), "refused: status 400: logprobs are not supported"),
        (refusal(404, "no model m"), "refused: status 404: no model m"),
        (refusal(401, "who are you"), "refused: status 401: who are you"),
        (body(b"hello"), "sent an answer that cannot be read: Invalid JSON"),
    ],
)
def test_a_server_that_cannot_serve_fails_at_start_up(clock: Clock, fault: Fault, message: str) -> None:
    with serve_chat(YES) as server:
        server.faults.append(fault)
        with pytest.raises(ConfigError) as caught:
            OpenAIEngine("m", OpenAIOptions(base_url=server.base_url), patience=clock.patience)
        assert len(server.requests) == 1
    assert message in caught.value.message
    assert "engine.openai." in caught.value.hint


@pytest.mark.parametrize("fault", [body(json.dumps(texts("Yes")).encode()), refusal(400, "unknown field 'logprobs'")])
def test_a_server_without_logprobs_is_told_the_way_out(clock: Clock, fault: Fault) -> None:
    with serve_chat(YES) as server:
        server.faults.append(fault)
        with pytest.raises(ConfigError, match=r"set engine\.openai\.samples"):
            OpenAIEngine("m", OpenAIOptions(base_url=server.base_url), patience=clock.patience)


def test_a_broken_server_at_start_up_may_be_tried_again_later(clock: Clock) -> None:
    options = OpenAIOptions(base_url="http://127.0.0.1:9/v1", max_attempts=2)
    with pytest.raises(EngineError, match="failed 2 times") as caught:
        OpenAIEngine("m", options, patience=clock.patience)
    assert (caught.value.retryable, clock.waits) == (True, [0.5])


def test_a_model_that_thinks_first_is_warned_about(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with running(clock, always(one_token([("<think>", 0.99)]))):
        assert "does not begin its answer to a simple question with Yes or No" in caplog.text


def test_a_model_that_changes_is_noticed_once(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    prints = iter(["a", "a", "b", "c"])

    def answer(request: Request) -> JSON:
        return one_token([("Yes", 0.9)], system_fingerprint=next(prints))

    with running(clock, answer) as (engine, _):
        choose(engine, ask("1"))
        assert caplog.records == []
        choose(engine, ask("2"))
        choose(engine, ask("3"))
    assert [record.getMessage().split(": ")[-1] for record in caplog.records] == ["('m', 'a') became ('m', 'b')"]


def test_the_digest_is_of_the_model_and_of_what_changes_numbers() -> None:
    def digest(
        model: str = "m", revision: str | None = None, fingerprint: str = "f", served: str = "s", **options: Any
    ) -> str:
        found = one_token([("Yes", 0.9)], system_fingerprint=fingerprint, model=served)
        with serve_chat(always(found)) as server:
            settings = OpenAIOptions(base_url=server.base_url, **options)
            return OpenAIEngine(model, settings, revision=revision).info.digest

    changed = [
        digest(model="n"),
        digest(revision="1"),
        digest(fingerprint="g"),
        digest(served="t"),
        digest(top_logprobs=5),
        digest(image_format="jpeg"),
        digest(image_detail="low"),
        digest(extra_body={"mm_processor_kwargs": {"max_pixels": 1000}}),
    ]
    same = [digest(), digest(concurrency=2, timeout_s=3, headers={"X-A": "b"}, price_per_million_prompt_tokens=1)]
    assert len(set(changed)) == len(changed)
    assert (len(set(same)), set(same) & set(changed)) == (1, set())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_url": "ftp://host/v1"}, "must begin with http"),
        ({"base_url": "file:///etc/passwd"}, "must begin with http"),
        ({"base_url": "host:8000/v1"}, "must begin with http"),
        ({"base_url": "http:///v1"}, "must begin with http"),
        ({"base_url": "http://user:password@host/v1"}, "without user"),
        ({"base_url": "http://host/v1?key=1"}, "without user, query"),
        ({"base_url": "http://host:99999/v1"}, "Port out of range"),
        ({"base_url": "http://ho\nst/v1"}, "must be a plain address"),
        ({"api_key_env": KEY}, "name of an environment variable, not the key"),
        ({"headers": {"Authorization": "Bearer x"}}, "'Authorization' cannot be set here"),
        ({"headers": {"X-A": "b\r\nX-C: d"}}, "must be printable ASCII"),
        ({"extra_body": {"messages": []}}, "messages: set by the engine itself"),
        ({"extra_body": {"logit_bias": {}, "guided_choice": ["Yes"]}}, "guided_choice, logit_bias: would hide"),
        ({"extra_body": {"x": math.nan}}, "not JSON compliant"),
        ({"max_attempts": 0}, "greater than or equal to 1"),
        ({"timeout_s": 0}, "greater than 0"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        OpenAIOptions(**options)
    assert KEY not in str(caught.value)


# --- cost ---------------------------------------------------------------------------------------------------


def test_spending_is_counted_over_every_answer(clock: Clock) -> None:
    def answer(request: Request) -> JSON:
        return one_token([("Yes", 0.9)], prompt_tokens=1000 if request.urls else 100)

    with running(clock, answer, price_per_million_prompt_tokens=2.0, price_per_million_completion_tokens=10.0) as (
        engine,
        server,
    ):
        assert engine.spend == Spend(1, 100, 1, pytest.approx(0.00021))  # type: ignore[arg-type]
        server.faults.append(refusal(500, "oops"))
        answers = choose(engine, ask("dog", GRAY), ask("cat", GRAY))
        assert engine.spend == Spend(3, 2100, 3, pytest.approx(0.00423))  # type: ignore[arg-type]
    assert [answer.prompt_tokens for answer in answers] == [1000, 1000]


# --- sampling -----------------------------------------------------------------------------------------------


def test_samples_are_drawn_and_counted(clock: Clock) -> None:
    def answer(request: Request) -> JSON:
        return texts(*(["Yes", "yes.", "No", "Perhaps"] * 4)[: request.body.get("n", 1)])

    with running(clock, answer, samples=8) as (engine, server):
        (found,) = choose(engine, ask("dog", GRAY))
        (request,) = server.requests
    assert engine.info.runtime == "openai/sampled-8"
    assert found == ChoiceProbabilities({"Yes": 4.5 / 7, "No": 2.5 / 7}, 0.75, 7)
    assert {name: value for name, value in request.body.items() if name not in ("messages", "model")} == {
        "temperature": 1.0, "n": 8, "seed": 0, "max_tokens": 8,
    }  # fmt: skip


@pytest.mark.parametrize(("per_request", "asked"), [(0, [5, 3, 1]), (2, [2, 2, 1]), (1, [1] * 5)])
def test_samples_that_are_missing_are_asked_for_again(clock: Clock, per_request: int, asked: list[int]) -> None:
    def answer(request: Request) -> JSON:
        return texts(*["No"] * min(2, request.body.get("n", 1)))

    with running(clock, answer, samples=5, samples_per_request=per_request) as (engine, server):
        (found,) = choose(engine, ask("dog"))
        assert [request.body.get("n", 1) for request in server.requests] == asked
        assert len({request.body["seed"] for request in server.requests}) == len(asked)
    assert (found.probabilities["No"], found.mass, found.prompt_tokens) == (5.5 / 6, 1.0, 7 * len(asked))


def test_withheld_samples_are_no_votes_and_too_many_are_an_error(clock: Clock) -> None:
    with running(clock, always(texts("Yes")), samples=2, seed=None) as (engine, server):
        server.answer = always(texts("Yes", None, finish_reason="content_filter"))
        assert choose(engine, ask("dog")) == [ChoiceProbabilities({"Yes": 0.5, "No": 0.5}, 0.0, 7)]
        assert "seed" not in server.requests[0].body
        server.answer = always(texts("Yes", "Yes", "Yes"))
        assert "gave 3 answers where 2 were asked for" in failure(engine).message


# --- texts --------------------------------------------------------------------------------------------------


def test_texts(clock: Clock) -> None:
    with running(clock) as (engine, server):
        server.answer = always(texts(" a dog \n"))
        prompts = [ask("scene", GRAY)] * 2
        found = asyncio.run(engine.generate(prompts, max_tokens=5, temperature=0.5))
        server.answer = always(texts("a dog and", finish_reason="length"))
        found += asyncio.run(engine.generate(prompts[:1], max_tokens=3))
        bodies = [request.body for request in server.requests]
    assert found == [Generation("a dog", "stop", 7, 2)] * 2 + [Generation("a dog and", "length", 7, 3)]
    assert [(each["max_tokens"], each["temperature"], "logprobs" in each) for each in bodies] == [
        (5, 0.5, False), (5, 0.5, False), (3, 0.0, False),
    ]  # fmt: skip
    assert sorted(each.get("seed", -1) for each in bodies) == [-1, 0, 1]


@pytest.mark.parametrize("reason", ["content_filter", "tool_calls", None, "abort"])
def test_a_text_that_was_withheld_is_no_text(clock: Clock, reason: Any) -> None:
    with running(clock) as (engine, server):
        server.answer = always(texts("I see", finish_reason=reason))
        with pytest.raises(AnswerError, match=f"finish_reason {reason!r}"):
            asyncio.run(engine.generate([ask("scene", GRAY)], max_tokens=5))


def test_thoughts_without_a_text_are_no_text(clock: Clock) -> None:
    with running(clock) as (engine, server):
        server.answer = always(texts(None, finish_reason="length"))
        with pytest.raises(AnswerError, match=r"wrote no text .* thinking switched off"):
            asyncio.run(engine.generate([ask("scene", GRAY)], max_tokens=5))


SCHEMA: dict[str, Any] = {"type": "object", "properties": {"rating": {"enum": ["Yes", "No"]}}}


def write_json(engine: OpenAIEngine) -> Generation:
    return asyncio.run(engine.generate([ask("scene", GRAY)], max_tokens=5, json_schema=SCHEMA))[0]


def test_a_schema_is_sent_strictly_and_only_where_one_is_asked_for(clock: Clock) -> None:
    with running(clock) as (engine, server):
        server.answer = always(texts('{"rating": "Yes"}'))
        assert write_json(engine) == Generation('{"rating": "Yes"}', "stop", 7, 2)
        asyncio.run(engine.generate([ask("scene", GRAY)], max_tokens=5))
        with_schema, without_schema = (request.body for request in server.requests)
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}
    assert with_schema.pop("response_format") == wanted
    assert with_schema == without_schema


def test_json_that_was_cut_off_says_so(clock: Clock) -> None:
    with running(clock) as (engine, server):
        server.answer = always(texts('{"rating":', finish_reason="length"))
        assert write_json(engine) == Generation('{"rating":', "length", 7, 1)


@pytest.mark.parametrize("status", [400, 422])
def test_a_server_without_structured_output_is_told_apart(clock: Clock, status: int) -> None:
    with running(clock) as (engine, server):
        server.faults.append(refusal(status, "unknown field 'response_format'"))
        with pytest.raises(EngineError, match="has no structured output, or none for this JSON schema") as caught:
            write_json(engine)
        assert len(server.requests) == 1
    assert "unknown field 'response_format'" in caught.value.message
    assert "engine.openai.structured_output" in caught.value.hint
    assert not caught.value.retryable


def test_other_refusals_of_a_schema_are_what_they_are(clock: Clock) -> None:
    with running(clock) as (engine, server):
        server.faults.append(refusal(401, "who are you"))
        with pytest.raises(EngineError, match="refused: status 401") as caught:
            write_json(engine)
    assert "structured" not in str(caught.value)


@pytest.mark.parametrize("text", ["Yes, a dog.", "", '{"rating": "Yes"', "[" * 100_000])
def test_a_server_that_leaves_a_schema_aside_is_found_out(clock: Clock, text: str) -> None:
    with running(clock) as (engine, server):
        server.answer = always(texts(text))
        with pytest.raises(AnswerError, match="asked for JSON under a schema and wrote something else") as caught:
            write_json(engine)
    assert len(caught.value.message) < 300


def test_a_server_that_is_said_to_have_no_structured_output_is_not_asked(clock: Clock) -> None:
    with running(clock, structured_output=False) as (engine, server):
        with pytest.raises(EngineError, match="model 'm' cannot be held to a JSON schema here"):
            write_json(engine)
        assert (server.requests, engine.capabilities.structured) == ([], False)


@pytest.mark.parametrize("temperature", [-0.1, math.nan, math.inf])
def test_a_temperature_that_is_none_is_refused(clock: Clock, temperature: float) -> None:
    with running(clock) as (engine, server):
        with pytest.raises(EngineError, match="temperature is"):
            asyncio.run(engine.generate([ask("scene")], max_tokens=5, temperature=temperature))
        assert server.requests == []


# --- through the pipeline -----------------------------------------------------------------------------------

CONSTITUTION = parse_constitution(
    """
name: small
version: "1"
categories:
  harm: {title: Harm}
preconditions:
  knife: {statement: A knife is visible.}
rules:
  knives:
    category: harm
    severity: high
    text: No knives.
    statement: A knife is visible.
    violated_when: knife
""",
    source="small",
)
NEITHER = one_token([("The", 0.9), ("It", 0.09)])
UNSEEN = "neither Yes nor No was among the answers that the model considered"


def verdict(engine: OpenAIEngine, *, folder: Path | None = None, **thresholds: Any) -> Verdict:
    config = JudgeConfig(thresholds=Thresholds(**thresholds))
    judge = Judge(engine, CONSTITUTION, config, priors=PriorStore(folder))
    return asyncio.run(judge.judge([Media("m", "image", (GRAY,), 0.0)]))[0]


def test_a_clear_answer_is_a_verdict(clock: Clock) -> None:
    """Guards the tests below: the same way, with an answer, decides."""
    with running(clock, lambda request: one_token([("Yes", 0.98 if request.urls else 0.5), ("No", 0.01)])) as (
        engine,
        _,
    ):
        found = verdict(engine)
    assert (found.decision, found.flagged, found.model) == ("unsafe", True, "m")


@pytest.mark.parametrize("preset", ["none", "threshold", "clue", "log_odds"])
@pytest.mark.parametrize("min_mass", [0.5, 0.0])
@pytest.mark.parametrize("samples", [0, 4])
def test_neither_yes_nor_no_is_abstained_with_the_reason(
    clock: Clock, preset: str, min_mass: float, samples: int
) -> None:
    """Even where the thresholds would take any mass and a 0.5 for an answer."""
    with running(clock, YES if not samples else always(texts("Yes")), samples=samples) as (engine, server):
        server.answer = always(NEITHER if not samples else texts("I cannot say."))
        found = verdict(engine, preset=preset, min_mass=min_mass, accept=0.5, reject=0.5)
    (evidence,) = found.rules[0].evidence
    assert (found.decision, found.flagged, found.rules[0].outcome) == ("uncertain", None, "abstained")
    assert (evidence.outcome, evidence.readings, evidence.reason) == ("undecided", None, UNSEEN)
    assert UNSEEN in found.reason


def test_a_prior_that_is_neither_is_not_read_as_one_half(clock: Clock, tmp_path: Path) -> None:
    def answer(request: Request) -> JSON:
        return one_token([("Yes", 0.99)]) if request.urls else NEITHER

    with running(clock, answer) as (engine, _):
        found = verdict(engine, folder=tmp_path)
    assert (found.decision, found.flagged) == ("uncertain", None)
    assert found.rules[0].evidence[0].reason == "the reading without the image is missing"
    assert list(tmp_path.iterdir()) == []


def test_a_filtered_answer_is_abstained(clock: Clock) -> None:
    with running(clock) as (engine, server):
        server.answer = always(texts("", finish_reason="content_filter"))
        found = verdict(engine, preset="none")
    assert (found.decision, found.flagged, found.rules[0].evidence[0].reason) == ("uncertain", None, UNSEEN)


def test_a_dead_server_is_abstained(clock: Clock) -> None:
    with running(clock) as (engine, _):
        pass
    found = verdict(engine)
    assert (found.decision, found.flagged) == ("uncertain", None)
    assert "the engine failed: model server 'http://127.0.0.1:" in found.reason


# --- in front of the real embedded model --------------------------------------------------------------------


class EmbeddedServer:
    """The embedded model behind the wire format, as a real server has it: its top 20 tokens, as text."""

    def __init__(self, engine: TransformersEngine) -> None:
        import torch  # noqa: PLC0415

        assert engine._loaded is not None
        self._torch, self._model = torch, engine._loaded.model
        self._encoder: PromptEncoder = engine._encoder

    def __call__(self, request: Request) -> JSON:
        inputs = self._encoder.encode(request.prompt())
        with self._torch.inference_mode():
            logits = self._model(**inputs).logits[0, -1].double()
        found = self._torch.softmax(logits, dim=-1).topk(request.body["top_logprobs"])
        words = [self._encoder.tokenizer.decode([int(i)], skip_special_tokens=False) for i in found.indices]
        n_prompt = int(inputs["input_ids"].shape[1])
        return one_token(list(zip(words, found.values.tolist(), strict=True)), prompt_tokens=n_prompt)


@pytest.mark.slow
def test_over_http_the_embedded_model_says_what_it_says_directly(clock: Clock) -> None:
    direct = build_engine(EngineConfig(device="cpu"))
    assert isinstance(direct, TransformersEngine)
    demo = sample_media_path("demo")
    pictures = [demo / "harmful-hate-words.png", demo / "harmless-1.png", demo / "photo-coffee.jpg"]
    frames = [load_media(FileMedia(path=path), Permissions(files=True)).frames for path in pictures]
    statements = ("There is a dog.", "A person is next to a weapon.", "The picture is made of stickers.")
    prompts = [precondition_prompt(text, shown) for shown in (*frames, ()) for text in statements]
    expected = asyncio.run(direct.choose(prompts))
    with serve_chat(EmbeddedServer(direct)) as server:
        config = EngineConfig(name="openai", openai=OpenAIOptions(base_url=server.base_url, concurrency=1))
        engine = build_engine(config, required=Capabilities(generation=False))
        found = asyncio.run(engine.choose(prompts))
    yes = [answer.probabilities["Yes"] for answer in expected]
    assert [answer.probabilities["Yes"] for answer in found] == pytest.approx(yes, abs=1e-3)
    assert [answer.mass for answer in found] == pytest.approx([answer.mass for answer in expected], abs=1e-3)
    assert [answer.prompt_tokens for answer in found] == [answer.prompt_tokens for answer in expected]
    assert max(yes) - min(yes) > 0.1
    assert engine.info.domain == direct.info.domain
