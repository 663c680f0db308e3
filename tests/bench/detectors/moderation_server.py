"""Servers on the loopback: our real service, and one that answers whatever a test wants."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import uvicorn

from serve.context import Context
from serve.gateway import create_gateway
from serve.settings import ServeSettings
from tests.serve.contract_app import WithTexts, embedded_service

_START_LIMIT_S = 60.0


@contextmanager
def our_service() -> Iterator[str]:
    """Base URL of `judge serve`'s gateway with the embedded model."""
    gateway = create_gateway(Context(ServeSettings(), embedded_service(), WithTexts()))
    server = uvicorn.Server(uvicorn.Config(gateway, host="127.0.0.1", port=0, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    give_up = time.monotonic() + _START_LIMIT_S
    while not server.started and thread.is_alive() and time.monotonic() < give_up:
        time.sleep(0.01)
    assert server.started
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    server.should_exit = True
    thread.join(_START_LIMIT_S)


@dataclass(frozen=True)
class Reply:
    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drip_s: float = 0.0
    """Pause before every byte."""
    cut: bool = False
    """Break off after half of the body."""


@dataclass(frozen=True)
class Asked:
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Hostile:
    """Answers the n-th request with the n-th reply, and from then on with the last."""

    base_url: str
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def hostile(*replies: Reply | Callable[[Asked], Reply]) -> Iterator[Hostile]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with lock:
                found.asked.append(Asked(self.path, dict(self.headers), body))
                reply = replies[min(len(found.asked), len(replies)) - 1]
            answer = reply if isinstance(reply, Reply) else reply(found.asked[-1])
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self._write(answer)

        def do_GET(self) -> None:  # where a redirect would lead
            with lock:
                found.asked.append(Asked(self.path, dict(self.headers), b""))
            self.send_error(500)

        def _write(self, answer: Reply) -> None:
            content = answer.body[: len(answer.body) // 2] if answer.cut else answer.body
            pieces = [content[at : at + 1] for at in range(len(content))] if answer.drip_s else [content]
            try:
                for piece in pieces:
                    time.sleep(answer.drip_s)
                    self.wfile.write(piece)
                    self.wfile.flush()
            except OSError:
                pass
            self.close_connection = answer.cut or self.close_connection

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Hostile(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
