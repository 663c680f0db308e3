"""A gateway in this process: what `judge serve` starts where no replica is to speak HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from serve.assembly import build_context
from serve.backend import Backend
from serve.gateway import create_gateway
from serve.listening import listen
from serve.logs import configure_logs
from serve.settings import ServeSettings

_DRAIN_EXTRA_S = 10


def serve_http(
    settings: ServeSettings, backend: Backend, *, on_ready: Callable[[str], None], on_end: Callable[[], None]
) -> None:
    """Serve until SIGINT or SIGTERM; what is under way is finished then, or given up at a second signal.

    The signal is raised again at the end, for the handlers that were there before.

    Args:
        backend: Closed at the end.
        on_ready: Called with the address when requests are taken.
        on_end: Called at the first signal.

    Raises:
        ConfigError: It cannot listen, or a setting is wrong.
        StoreError: The store cannot be reached.
    """
    configure_logs(settings.telemetry.log_level)
    with listen(settings.http) as listening:
        context = build_context(settings, backend)
        try:
            config = uvicorn.Config(
                create_gateway(context), log_level="warning", access_log=False, server_header=False,
                timeout_graceful_shutdown=int(settings.http.deadline_s) + _DRAIN_EXTRA_S,
            )  # fmt: skip
            server = _Server(config, lambda: on_ready(_url(listening)), on_end)
            with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
                try:
                    runner.run(server.serve(sockets=[listening]))
                finally:
                    runner.run(backend.close())
        finally:
            if context.store is not None:
                context.store.close()


class _Server(uvicorn.Server):
    """Tells when it takes requests, and when it is told to end."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None], on_end: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_end = on_end

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self.force_exit = True
        else:
            self._on_end()
        super().handle_exit(sig, frame)


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
