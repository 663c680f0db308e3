"""The service, in this process (uvicorn) or on Ray; it ends with its input."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import tempfile
from pathlib import Path

from serve.command import tune_serve
from serve.settings import AuthSettings, HttpSettings, QueueSettings, ServeSettings, StoreSettings, TelemetrySettings

from .child import tell
from .settings import PLACES, judge_config


def main() -> None:
    target, engine = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        settings = ServeSettings(
            judge=judge_config(engine, Path(folder)),
            auth=AuthSettings(mode="open"),
            http=HttpSettings(port=_free_port()),
            engine_in_judge=target == "ray",  # as serve/config.yaml has it
            queue=QueueSettings(max_ongoing=PLACES, max_queued=PLACES),
            store=StoreSettings(folder=Path(folder)),
            telemetry=TelemetrySettings(log_level="warning"),
        )
        if target in {"ray", "ray-apart"}:
            _on_ray(settings)
        else:
            asyncio.run(_in_process(settings))


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
    tune_serve()
    import ray  # noqa: PLC0415
    from ray import serve  # noqa: PLC0415

    from serve.app import APP_NAME, build_app  # noqa: PLC0415

    ray.init(
        address="local", num_cpus=4, include_dashboard=False, object_store_memory=200 * 2**20, log_to_driver=False,
        namespace=APP_NAME, logging_level=logging.WARNING,
    )  # fmt: skip
    try:
        serve.start(http_options={"host": settings.http.host, "port": settings.http.port})
        serve.run(build_app(settings), name=APP_NAME, route_prefix="/")
        tell({"url": f"http://{settings.http.host}:{settings.http.port}"})
        sys.stdin.read()
    finally:
        serve.shutdown()  # type: ignore[no-untyped-call]
        ray.shutdown()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


if __name__ == "__main__":
    main()
