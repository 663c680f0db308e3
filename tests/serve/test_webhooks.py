"""Webhooks to real servers on this machine: signed, tried again, kept over a restart, and nowhere they must not go."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import select

from judge.errors import ConfigError
from judge.media.dial import Network
from serve.context import Context
from serve.jobs.running import start_jobs
from serve.jobs.webhooks import Undelivered, post
from serve.store.models import DeliveryRow
from tests.media.serving import local_network

from .gateways import RaisingBackend, client_of
from .remembering import PATIENCE_S, ended, remembering, started, store_of, submit, until, video, working

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
HOOKS = {"hosts": ["127.0.0.1", "localhost"], "first_pause_s": 0.01, "max_attempts": 4}
JOBS = {"workers": 1, "webhooks": HOOKS}


@dataclass(frozen=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Statuses by path, one after the other, the last one again and again; `hang` = no answer until the end."""

    port: int = 0
    statuses: dict[str, list[int]] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    may_answer: Event = field(default_factory=Event)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    def at(self, path: str) -> list[Received]:
        return [each for each in self.received if each.path == path]


@contextmanager
def receiver() -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.received.append(Received(self.path, headers, body))
            if self.path == "/hang":
                found.may_answer.wait(PATIENCE_S)
            statuses = found.statuses.get(self.path, [200])
            status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
            with suppress(OSError):
                self.send_response(status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found.port = server.server_address[1]
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield found
        finally:
            found.may_answer.set()
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL_JUDGE_WEBHOOK_SECRET", SECRET)


def deliveries(context: Context) -> list[tuple[str, int, str]]:
    """(state, attempts, last error), oldest first."""
    row = DeliveryRow
    query = select(row.state, row.attempts, row.last_error).order_by(row.created_at_s)
    found = store_of(context).database.read_now(lambda session: session.execute(query).all())
    return [(state, attempts, error) for state, attempts, error in found]


def settled(context: Context, n: int = 1) -> Callable[[], bool]:
    def all_ended() -> bool:
        states = [state for state, *_ in deliveries(context)]
        return len(states) == n and "pending" not in states

    return all_ended


def check_signature(received: Received) -> None:
    """As a receiver would, by the specification alone."""
    headers = received.headers
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + received.body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 300
    assert headers["content-type"] == "application/json"


# --- told ---------------------------------------------------------------------------------------------------


async def test_the_end_of_a_job_is_told_once_and_signed(tmp_path: Path) -> None:
    with receiver() as site:
        async with remembering(tmp_path, jobs=JOBS) as context, working(context, local_network()) as http:
            id = await started(http, video(), WebhookUrl=site.url("/hook?a=1"), JobTag="mine")
            job = await ended(http, id)
            await until(settled(context))
            assert deliveries(context) == [("delivered", 1, "")]
    (received,) = site.received
    assert received.path == "/hook?a=1"
    check_signature(received)
    told = json.loads(received.body)
    assert (told["type"], told["timestamp"][:4]) == ("video_job.succeeded", job["EndedAt"][:4])
    assert told["data"] == {
        "JobId": id, "JobStatus": "SUCCEEDED", "JobTag": "mine", "Constitution": job["Constitution"],
        "Decision": "safe", "Flagged": False, "VerdictId": job["VerdictId"], "Error": None,
    }  # fmt: skip


async def test_a_job_that_failed_is_told_too(tmp_path: Path) -> None:
    settings = {**JOBS, "max_attempts": 1}
    with receiver() as site:
        async with (
            remembering(tmp_path, RaisingBackend(KeyError("secret")), jobs=settings) as context,
            working(context, local_network()) as http,
        ):
            await started(http, video(), WebhookUrl=site.url("/hook"))
            await until(settled(context))
    (received,) = site.received
    told = json.loads(received.body)
    assert (told["type"], told["data"]["Decision"], told["data"]["Error"]["code"]) == (
        "video_job.failed", None, "internal",
    )  # fmt: skip
    assert b"secret" not in received.body


async def test_a_failing_endpoint_is_tried_again_and_delays_no_other(tmp_path: Path) -> None:
    with receiver() as hanging, receiver() as failing, receiver() as good:
        failing.statuses["/hook"] = [500, 302, 429, 204]
        async with remembering(tmp_path, jobs=JOBS) as context, working(context, local_network()) as http:
            for number, url in enumerate((hanging.url("/hang"), failing.url("/hook"), good.url("/hook"))):
                await ended(http, await started(http, video(number), WebhookUrl=url))
            await until(lambda: sorted(state for state, *_ in deliveries(context)) == ["delivered"] * 2 + ["pending"])
            assert len(hanging.received) == 1  # under way all the time
            hanging.may_answer.set()
            await until(settled(context, 3))
            assert [attempts for _, attempts, _ in deliveries(context)] == [1, 4, 1]
    assert [each.path for each in failing.received] == ["/hook"] * 4  # the redirect was not followed
    assert len({each.headers["webhook-id"] for each in failing.received}) == 1
    assert len({each.body for each in failing.received}) == 1
    for each in failing.received:
        check_signature(each)
    assert len(good.received) == 1


@pytest.mark.parametrize(("status", "attempts"), [(500, 4), (410, 1)])
async def test_an_endpoint_that_never_works_is_given_up(status: int, attempts: int, tmp_path: Path) -> None:
    with receiver() as site:
        site.statuses["/hook"] = [status]
        async with remembering(tmp_path, jobs=JOBS) as context, working(context, local_network()) as http:
            id = await started(http, video(), WebhookUrl=site.url("/hook"))
            await until(settled(context))
            assert deliveries(context) == [("failed", attempts, f"the answer was {status}")]
            assert (await ended(http, id))["JobStatus"] == "SUCCEEDED"
    assert len(site.received) == attempts


async def test_a_message_survives_a_restart(tmp_path: Path) -> None:
    slow = {**JOBS, "webhooks": {**HOOKS, "first_pause_s": 0.5}}
    with receiver() as site:
        site.statuses["/hook"] = [500, 200]
        async with remembering(tmp_path, jobs=slow) as context, working(context, local_network()) as http:
            await started(http, video(), WebhookUrl=site.url("/hook"))
            await until(lambda: [each[2] for each in deliveries(context)] == ["the answer was 500"])
        async with remembering(tmp_path, jobs=slow) as context, working(context, local_network()):
            await until(settled(context))
            assert deliveries(context) == [("delivered", 2, "")]
    first, second = site.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_an_attempt_under_which_the_service_ended_is_made_again(tmp_path: Path) -> None:
    with receiver() as site:
        async with remembering(tmp_path, jobs=JOBS) as context:
            async with working(context, local_network()) as http:
                await ended(http, await started(http, video(), WebhookUrl=site.url("/hook")))
                await until(settled(context))
            # As if it had ended after the message was sent, before that was written.
            database = store_of(context).database
            database.write_now(_forget)
            (claimed,) = await store_of(context).deliveries.claim(0.05, (), 5)
            assert claimed.attempt == 1
            async with working(context, local_network()):
                await until(settled(context))
    assert len({each.headers["webhook-id"] for each in site.received}) == 1
    assert len(site.received) == 2


def _forget(session: Any) -> None:
    row = session.scalars(select(DeliveryRow)).one()
    row.state, row.attempts, row.next_at_s = "pending", 0, 0.0


# --- not told -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (Network(), "leads to 127.0.0.1, a loopback address"),
        (local_network(lambda host, port: ["127.0.0.1", "10.0.0.1"]), "leads to 10.0.0.1, a private address"),
        (local_network(lambda host, port: ["169.254.169.254"]), "leads to 169.254.169.254"),
        (local_network(lambda host, port: []), "has no address"),
    ],
)
async def test_private_addresses_are_not_told(network: Network, reason: str, tmp_path: Path) -> None:
    settings = {**JOBS, "webhooks": {**HOOKS, "max_attempts": 1}}
    with receiver() as site:
        async with remembering(tmp_path, jobs=settings) as context, working(context, network) as http:
            await started(http, video(), WebhookUrl=site.url("/hook", "localhost"))
            await until(settled(context))
            ((state, _, error),) = deliveries(context)
    assert (state, reason in error, site.received) == ("failed", True, []), error


async def test_a_host_that_is_taken_off_the_list_is_told_no_more(tmp_path: Path) -> None:
    with receiver() as site:
        async with remembering(tmp_path, jobs={**JOBS, "workers": 0}) as context, client_of(context) as http:
            await started(http, video(), WebhookUrl=site.url("/hook"))
        changed = {**JOBS, "webhooks": {**HOOKS, "hosts": ["example.org"]}}
        async with remembering(tmp_path, jobs=changed) as context, working(context, local_network()):
            await until(settled(context))
            ((state, attempts, error),) = deliveries(context)
    assert (state, attempts, "not on the list" in error, site.received) == ("failed", 1, True, [])


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "http://127.0.0.1.example.com/",
        "http://user:password@127.0.0.1/",
        "http://127.0.0.1@example.com/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "127.0.0.1",
        "http://",
        "http://[::1",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1/\r\nX-Injected: 1",
        "http://exämple.com/",
    ],
)
async def test_urls_that_are_refused(url: str, tmp_path: Path) -> None:
    async with remembering(tmp_path, jobs=JOBS) as context, client_of(context) as http:
        answer = await submit(http, video(), WebhookUrl=url)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "webhook_not_allowed"), answer.text


async def test_webhooks_are_off_by_default(tmp_path: Path) -> None:
    async with remembering(tmp_path) as context, client_of(context) as http:
        answer = await submit(http, video(), WebhookUrl="https://example.com/")
    assert answer.json()["error"]["message"] == "webhooks are off here"


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "not base64 at all!"])
async def test_without_a_good_secret_nothing_starts(
    secret: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL_JUDGE_WEBHOOK_SECRET", secret)
    async with remembering(tmp_path, jobs=JOBS) as context:
        with pytest.raises(ConfigError, match="signatures") as refused:
            start_jobs(context)
    assert "VISUAL_JUDGE_WEBHOOK_SECRET" in refused.value.hint


def test_an_endpoint_that_does_not_answer_in_time() -> None:
    with receiver() as site, pytest.raises(Undelivered, match=r"no answer in 0\.2 s"):
        post(site.url("/hang"), {}, b"{}", timeout_s=0.2, network=local_network())


def test_an_endpoint_that_is_not_there() -> None:
    with receiver() as site:
        url = site.url("/hook")
    with pytest.raises(Undelivered, match="the transfer failed"):
        post(url, {}, b"{}", timeout_s=5.0, network=local_network())
