"""Starts the service: Ray, its application, and perhaps a gateway in this process; ends it at a signal."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from rich.console import Console

from judge.errors import EngineError
from serve.settings import ServeSettings

_OBJECT_STORE_BYTES = 256 * 2**20
_ENDING = "ending: what is under way is finished first (once more ends it at once)..."


def run(settings: ServeSettings, address: str | None) -> None:
    """Start Ray and the application; return when a signal ends it.

    Raises:
        JudgeError: It could not start.
    """
    messages = Console(stderr=True)
    messages.print("starting (a large model takes minutes)...", style="dim")
    # The cluster started here listens on this machine only and ends with this process. A cluster of your own
    # (`--address`) keeps the token authentication that Ray 2.60 has by default.
    if address is None:
        os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    tune_serve(proxy=settings.gateways.in_ray)
    import ray  # noqa: PLC0415  (seconds)
    from ray import serve as ray_serve  # noqa: PLC0415

    from serve.app import APP_NAME  # noqa: PLC0415

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    # "local": without it Ray joins whatever cluster an earlier program has left running.
    ray.init(address=address or "local", namespace=APP_NAME, **({} if address else _own_cluster()))
    _end_on_signals()  # after Ray has put in handlers of its own
    try:
        serve_on_ray(
            settings,
            on_ready=lambda url: _greet(url, settings, messages),
            on_end=lambda: messages.print(_ENDING, style="dim"),
        )
    except _Ended:
        pass
    except RuntimeError as error:
        raise EngineError("the service could not start", hint=_first_line(error)) from error
    finally:
        if address is None:
            ray_serve.shutdown()  # type: ignore[no-untyped-call]
            ray.shutdown()
        else:
            ray_serve.delete(APP_NAME)


def serve_on_ray(settings: ServeSettings, *, on_ready: Callable[[str], None], on_end: Callable[[], None]) -> None:
    """Start the application in the cluster that this process has joined, and serve until a signal.

    Args:
        on_ready: Called with the address when requests are taken.
        on_end: Called at the first signal.
    """
    from ray import serve as ray_serve  # noqa: PLC0415

    from serve.app import APP_NAME, build_app, build_judges  # noqa: PLC0415
    from serve.judge_replica import RayBackend  # noqa: PLC0415
    from serve.own_gateway import serve_http  # noqa: PLC0415

    if settings.gateways.in_ray:
        ray_serve.start(http_options={"host": settings.http.host, "port": settings.http.port})
        ray_serve.run(build_app(settings), name=APP_NAME, route_prefix="/")
        on_ready(f"http://{settings.http.host}:{settings.http.port}")
        try:
            threading.Event().wait()
        finally:
            on_end()
        return
    ray_serve.start(proxy_location="Disabled")
    judges = ray_serve.run(build_judges(settings), name=APP_NAME, route_prefix=None)
    try:
        serve_http(settings, RayBackend(judges), on_ready=on_ready, on_end=on_end)
    finally:
        # Serve's own news for the handle still come, and it complains that nobody takes them.
        logging.getLogger("ray.serve").setLevel(logging.CRITICAL)


def tune_serve(*, proxy: bool) -> None:
    """Ray Serve's switch for fewer threads and direct calls between replicas: a request without a verdict to make takes
    5 instead of 10 ms. To be called before Ray is imported; replicas inherit it. What is set already stays.

    Args:
        proxy: Whether a proxy of Ray is wanted. What the switch turns on for load balancers starts one, on port 8000,
            even where proxies are disabled.
    """
    if not proxy:
        os.environ["RAY_SERVE_ENABLE_DIRECT_INGRESS"] = "0"
        os.environ.pop("RAY_SERVE_ENABLE_HA_PROXY", None)
    os.environ.setdefault("RAY_SERVE_THROUGHPUT_OPTIMIZED", "1")
    # What the switch waits for at the end (30 s) is a load balancer of one's own that calls replicas by their address.
    os.environ.setdefault("RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S", "1")
    os.environ.setdefault("RAY_SERVE_LOG_TO_STDERR", "0")
    # By default whatever else runs on the machine comes before replicas: with the same load beside it, a service at 10
    # times its capacity answered 191 requests, and 333 so.
    os.environ.setdefault("RAY_worker_niceness", "0")


class _Ended(BaseException):
    """A signal asked for the end."""


def _end_on_signals() -> None:
    """The first SIGINT or SIGTERM raises `_Ended`; the next one kills."""

    def end(*_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        raise _Ended

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


def _own_cluster() -> dict[str, Any]:
    return {
        "num_cpus": os.cpu_count(),
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE_BYTES,
        "log_to_driver": False,
        "logging_level": "warning",
        "_node_ip_address": "127.0.0.1",
    }


def _greet(url: str, settings: ServeSettings, messages: Console) -> None:
    messages.print(f"serving at {url} with '{settings.judge.engine.model}', constitution '{settings.constitution}'")
    messages.print(f"  try: curl -s {url}/v1/judge -F media=@photo.jpg", markup=False)
    if settings.http.page:
        messages.print(f"  or open {url}/ in a browser")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
