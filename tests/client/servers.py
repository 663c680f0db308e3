"""Servers on the loopback: the real gateway, and one that answers as a test has written down."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import uvicorn
from starlette.types import ASGIApp

START_LIMIT_S = 60.0


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """The application on a free port, in a thread; its address."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    give_up = time.monotonic() + START_LIMIT_S
    while not server.started and thread.is_alive() and time.monotonic() < give_up:
        time.sleep(0.01)
    assert server.started
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(START_LIMIT_S)


@dataclass(frozen=True)
class Answer:
    """`promised` = bytes of the body that are announced; more than there are = the server breaks off."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    promised: int | None = None
    after_s: float = 0.0


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


HANG_UP = Answer(status=0)


def as_json(value: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


def error(status: int, code: str, *, param: str | None = None, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"message": f"a sentence about {code}", "type": "t", "param": param, "code": code, "hint": "a hint"}
    return as_json({"error": {**body, "request_id": "request-7"}}, status, **named)


class Script:
    """Answers in turn; the last one again and again."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.seen: list[Seen] = []
        self.url = ""
        self._answers = list(answers)

    def next(self, seen: Seen) -> Answer:
        self.seen.append(seen)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@contextmanager
def scripted(*answers: Answer) -> Iterator[Script]:
    script = Script(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            found = script.next(Seen(self.command, self.path, dict(self.headers.items()), body))
            time.sleep(found.after_s)
            self.close_connection = True
            if found is HANG_UP:
                return
            self.send_response(found.status)
            for name, value in found.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(found.body) if found.promised is None else found.promised))
            self.end_headers()
            self.wfile.write(found.body)

        do_GET = do_POST = do_PUT = do_DELETE = do

        def log_message(self, format: str, *args: Any) -> None:
            return None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    script.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
