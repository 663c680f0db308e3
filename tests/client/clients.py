"""Both clients behind one face, so that every test runs with each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, cast

from judge.client import AsyncJudgeClient, JudgeClient, StreamLine

KINDS = ("sync", "async")


class Blocking:
    """`AsyncJudgeClient` for tests that are not asynchronous; a stream is gathered line by line."""

    def __init__(self, client: AsyncJudgeClient) -> None:
        self._client = client
        self._runner = asyncio.Runner()

    def __enter__(self) -> Blocking:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.close())
        self._runner.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *args, **kwargs: self._runner.run(method(*args, **kwargs))

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[StreamLine]:
        lines: AsyncGenerator[StreamLine, None] = self._client.stream(*args, **kwargs)
        try:
            while True:
                yield self._runner.run(anext(lines))
        except StopAsyncIteration:
            return
        finally:
            self._runner.run(lines.aclose())


def open_client(kind: str, url: str, **options: Any) -> JudgeClient:
    """Of one kind; both look like the synchronous one."""
    if kind == "sync":
        return JudgeClient(url, **options)
    return cast(JudgeClient, Blocking(AsyncJudgeClient(url, **options)))
