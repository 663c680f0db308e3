"""A real chat-completions server on 127.0.0.1, told by each test how to answer and how to misbehave."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
from PIL import Image

from judge.types import Frame, Message, Prompt

JSON = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What arrived."""

    path: str
    headers: Mapping[str, str]
    body: JSON

    @property
    def text(self) -> str:
        """The words of the last message."""
        content = self.body["messages"][-1]["content"]
        return content if isinstance(content, str) else content[-1]["text"]

    @property
    def urls(self) -> list[str]:
        """Pictures of all messages, in order."""
        parts = [part for message in self.body["messages"] for part in message["content"] if isinstance(part, dict)]
        return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]

    def prompt(self) -> Prompt:
        """The prompt that a model behind this server would see."""
        messages = []
        for message in self.body["messages"]:
            content = message["content"]
            words = content if isinstance(content, str) else content[-1]["text"]
            messages.append(Message(message["role"], words))
        return Prompt(tuple(messages), tuple(Frame(i, 0.0, pixels(url)) for i, url in enumerate(self.urls)))


Answer = Callable[[Request], JSON]
Fault = Callable[[BaseHTTPRequestHandler], None]


def pixels(url: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    head, _, data = url.partition(";base64,")
    assert head.startswith("data:image/")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data, validate=True))))


@dataclass
class ChatServer:
    """Answers with `answer`, unless a fault is waiting: each is used once, in order."""

    answer: Answer
    port: int = 0
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[Request] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    most_at_once: int = 0
    at_once: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    pause_s: float = 0.0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@contextmanager
def serve_chat(answer: Answer, *, port: int = 0) -> Iterator[ChatServer]:
    site = ChatServer(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            request = Request(self.path, dict(self.headers.items()), json.loads(content))
            with site.lock:
                site.requests.append(request)
                fault = site.faults.popleft() if site.faults else None
                site.at_once += 1
                site.most_at_once = max(site.most_at_once, site.at_once)
            try:
                if site.pause_s:
                    site.closing.wait(site.pause_s)
                with suppress(OSError):  # clients may hang up
                    (fault or body(json.dumps(site.answer(request)).encode()))(self)
            finally:
                with site.lock:
                    site.at_once -= 1

        def do_GET(self) -> None:
            with site.lock:
                site.requests.append(Request(self.path, dict(self.headers.items()), {}))
            body(b"{}", 404)(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            pass

    with Server(("127.0.0.1", port), Handler) as server:
        site.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield site
        finally:
            site.closing.set()
            server.shutdown()
            thread.join()


# --- answers ------------------------------------------------------------------------------------------------


def one_token(top: Sequence[tuple[str, float]], *, prompt_tokens: int = 7, **more: object) -> JSON:
    """A completion of one token with the probabilities (not logs) of the likeliest."""
    listed = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in top]
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": top[0][0]},
        "finish_reason": "length",
        "logprobs": {"content": [{**listed[0], "top_logprobs": listed}], "refusal": None},
    }
    return _completion([choice], prompt_tokens, 1, more)


def texts(*written: str | None, finish_reason: str = "stop", prompt_tokens: int = 7, **more: object) -> JSON:
    """A completion with whole answers and without logprobs."""
    choices = [
        {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
        for i, text in enumerate(written)
    ]
    return _completion(choices, prompt_tokens, sum(len((text or "").split()) for text in written), more)


def _completion(choices: list[JSON], prompt_tokens: int, completion_tokens: int, more: Mapping[str, object]) -> JSON:
    usage = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": 0}
    return {"id": "x", "object": "chat.completion", "model": "m", "choices": choices, "usage": usage, **more}


def hashed(request: Request) -> JSON:
    """Stands for a model: any change of words or pixels changes the numbers, which are spread over spellings.

    Under a schema it writes the one text that the contract suite asks for.
    """
    if "response_format" in request.body:
        words = ['{"rating":', '"Yes",', '"certainty":', "3}"][: request.body["max_tokens"]]
        return texts(" ".join(words), finish_reason="stop" if len(words) == 4 else "length")
    digest = hashlib.sha256(repr(request.prompt().messages).encode())
    for url in request.urls:
        digest.update(pixels(url).tobytes())
    yes, mass = (int.from_bytes(digest.digest()[i : i + 2], "big") / 65536 for i in (0, 2))
    yes, mass = 0.05 + 0.9 * yes, 0.5 + 0.4 * mass
    listed = [
        ("Yes", 0.75 * yes * mass), (" yes", 0.25 * yes * mass), ("No", 0.5 * (1 - yes) * mass),
        ("\nNO", 0.5 * (1 - yes) * mass), ("Maybe", 1.0 - mass),
    ]  # fmt: skip
    return one_token(sorted(listed, key=lambda each: -each[1]), prompt_tokens=11 + len(request.text.split()))


# --- faults -------------------------------------------------------------------------------------------------


def body(content: bytes, status: int = 200, **headers: str) -> Fault:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def refusal(status: int, message: str, **headers: str) -> Fault:
    content = {"error": {"message": message, "type": "x", "param": None, "code": None}}
    return body(json.dumps(content).encode(), status, **headers)


def cut(content: bytes = b'{"choices": [') -> Fault:
    """Promise more than is sent, then hang up."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content) + 100))
        handler.end_headers()
        handler.wfile.write(content)
        handler.close_connection = True

    return answer


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """No answer at all."""
    handler.close_connection = True


def drip(site: ChatServer, pause_s: float = 0.05) -> Fault:
    """Never silent for long, never done."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        while not site.closing.wait(pause_s):
            handler.wfile.write(b" ")

    return answer


def huge(n_bytes: int) -> Fault:
    """Valid JSON behind a lot of white space, sent in pieces without stating a length."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.close_connection = True
        handler.send_response(200)
        handler.end_headers()
        for _ in range(n_bytes >> 16):
            handler.wfile.write(b" " * (1 << 16))
        handler.wfile.write(json.dumps(one_token([("Yes", 0.9)])).encode())

    return answer
