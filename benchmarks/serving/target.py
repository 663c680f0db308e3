"""The service, in this process (uvicorn) or on Ray; it ends with its input."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path

from serve.launch import serve_on_ray, tune_serve
from serve.settings import (
    AuthSettings,
    GatewaySettings,
    HttpSettings,
    QueueSettings,
    ServeSettings,
    StoreSettings,
    TelemetrySettings,
)

from .child import tell
from .settings import PLACES, judge_config


def main() -> None:
    target, engine = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        settings = ServeSettings(
            judge=judge_config(engine, Path(folder)),
            auth=AuthSettings(mode="open"),
            http=HttpSettings(port=_free_port()),
            engine_in_judge=target != "ray-apart",  # as serve/config.yaml has it, and the gateways
            gateways=GatewaySettings(in_ray=target == "ray-proxy"),
            queue=QueueSettings(max_ongoing=PLACES, max_queued=PLACES),
            store=StoreSettings(folder=Path(folder)),
            telemetry=TelemetrySettings(log_level="warning"),
        )
        if target == "in-process":
            asyncio.run(_in_process(settings))
        else:
            _on_ray(settings)


async def _in_process(settings: ServeSettings) -> None:
    import uvicorn  # noqa: PLC0415

    from serve.assembly import build_context, build_service  # noqa: PLC0415
    from serve.gateway import create_gateway  # noqa: PLC0415

    service = await build_service(settings)
    gateway = create_gateway(build_context(settings, service))
    config = uvicorn.Config(gateway, host=settings.http.host, port=settings.http.port, log_level="warning")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    tell({"url": f"http://{settings.http.host}:{settings.http.port}"})
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = True
    await serving
    await service.close()


def _on_ray(settings: ServeSettings) -> None:
    os.environ["RAY_AUTH_MODE"] = "disabled"  # the cluster is this process's own, on the loopback address
    tune_serve(proxy=settings.gateways.in_ray)
    import ray  # noqa: PLC0415
    from ray import serve  # noqa: PLC0415

    from serve.app import APP_NAME  # noqa: PLC0415

    ray.init(
        address="local", num_cpus=4, include_dashboard=False, object_store_memory=200 * 2**20, log_to_driver=False,
        namespace=APP_NAME, logging_level=logging.WARNING,
    )  # fmt: skip
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    threading.Thread(target=_end_with_input, daemon=True).start()
    try:
        serve_on_ray(settings, on_ready=lambda url: tell({"url": url}), on_end=lambda: None)
    finally:
        serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()


def _end_with_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    main()
