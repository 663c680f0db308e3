"""`judge serve`: starts the service on this machine, or in a Ray cluster, and stays until it is told to end."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
from rich.console import Console

from judge.assets import constitution_path
from judge.cli.options import override_engine
from judge.config import load_settings
from judge.errors import ConfigError, EngineError, JudgeError
from serve.gate import build_gate
from serve.settings import ServeSettings
from serve.store.command import add_store_commands

_EXAMPLES = """
Examples:

  judge serve

  judge serve --port 9000 --constitution general --model qwen3-vl-2b

  judge serve --config serve/configs/one-gpu.yaml

  judge serve --config serve/configs/many-gpus.yaml --address auto

  judge serve schema > settings.schema.json

  judge serve keys new my-app --scope judge

Ctrl-C or SIGTERM ends it: what is under way is finished first, nothing new is taken.
Exit codes: 0 ended as it was told; 2 wrong usage or settings; 1 it could not start.
"""
_OBJECT_STORE_BYTES = 256 * 2**20

app = typer.Typer(
    help="Serve verdicts over HTTP.", epilog=_EXAMPLES, add_completion=False, pretty_exceptions_enable=False,
    rich_markup_mode=None,
)  # fmt: skip

add_store_commands(app)


def main(argv: Sequence[str]) -> int:
    """Returns the exit code."""
    try:
        app(args=list(argv), prog_name="judge serve", standalone_mode=False)
    except JudgeError as error:
        print(f"judge: {error}", file=sys.stderr)
        return 1 if isinstance(error, EngineError) else 2
    except typer.Exit as exit:
        return exit.exit_code
    except typer.Abort:
        return 130
    except Exception as error:
        shown = getattr(error, "format_message", None)
        if shown is None:
            raise
        print(f"judge: {shown()}", file=sys.stderr)
        return 2
    return 0


@app.callback(invoke_without_command=True)
def start(  # noqa: PLR0917  (one parameter per option)
    context: typer.Context,
    config: Annotated[Optional[Path], typer.Option(help="YAML with every setting; see serve/config.yaml.")] = None,  # noqa: UP045
    host: Annotated[Optional[str], typer.Option(help="Address to listen on.")] = None,  # noqa: UP045
    port: Annotated[Optional[int], typer.Option(min=0, max=65535, help="Port; 0 = any free one.")] = None,  # noqa: UP045
    model: Annotated[Optional[str], typer.Option(help="Name (see `judge models`), folder, or Hugging Face id.")] = None,  # noqa: UP045
    engine: Annotated[Optional[str], typer.Option(help="Name of the engine: transformers, vllm, openai.")] = None,  # noqa: UP045
    constitution: Annotated[Optional[str], typer.Option(help="The one applied when a request names none.")] = None,  # noqa: UP045
    address: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Ray cluster to run in, e.g. auto; without it one is started here, for this service alone."),
    ] = None,
) -> None:
    """Start the service and stay until Ctrl-C."""
    if context.invoked_subcommand is not None:
        return
    settings = with_options(
        read_settings(config), host=host, port=port, model=model, engine=engine, constitution=constitution
    )
    check(settings)
    run(settings, address)


@app.command()
def schema() -> None:
    """Print the JSON schema of the settings."""
    print(json.dumps(ServeSettings.model_json_schema(), indent=1))


def read_settings(config: Path | None) -> ServeSettings:
    """Those of a file; without one, for a laptop.

    Raises:
        ConfigError: The file cannot be read, or something in it is wrong.
    """
    if config is not None:
        return load_settings(ServeSettings, config)
    with as_file(files("serve").joinpath("config.yaml")) as path:
        return load_settings(ServeSettings, path)


def with_options(
    settings: ServeSettings,
    *,
    host: str | None = None,
    port: int | None = None,
    model: str | None = None,
    engine: str | None = None,
    constitution: str | None = None,
) -> ServeSettings:
    """The settings with what was given on the command line laid over them."""
    address = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}
    asked = override_engine(settings.judge.engine, engine=engine, model=model, device=None)
    return settings.model_copy(
        update={
            "http": settings.http.model_copy(update=address),
            "judge": settings.judge.model_copy(update={"engine": asked}),
            "constitution": constitution or settings.constitution,
        }
    )


def check(settings: ServeSettings) -> None:
    """Find before anything is started what would end it later.

    Raises:
        ConfigError: It would be open to strangers, its port is taken, or its constitution is not known.
    """
    build_gate(settings)
    constitution_path(settings.constitution.partition("@")[0])
    try:
        with socket.create_server((settings.http.host, settings.http.port)):
            return
    except OSError as error:
        where = f"{settings.http.host}:{settings.http.port}"
        raise ConfigError(
            f"cannot listen on {where}: {error.strerror or error}", hint="choose another --port"
        ) from error


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
    tune_serve()
    import ray  # noqa: PLC0415  (seconds)
    from ray import serve as ray_serve  # noqa: PLC0415

    from serve.app import APP_NAME, build_app  # noqa: PLC0415

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    # "local": without it Ray joins whatever cluster an earlier program has left running.
    ray.init(address=address or "local", namespace=APP_NAME, **({} if address else _own_cluster()))
    _end_on_signals()  # after Ray has put in handlers of its own
    try:
        ray_serve.start(http_options={"host": settings.http.host, "port": settings.http.port})
        ray_serve.run(build_app(settings), name=APP_NAME, route_prefix="/")
        _greet(settings, messages)
        threading.Event().wait()
    except _Ended:
        messages.print("ending: what is under way is finished first (once more ends it at once)...", style="dim")
    except RuntimeError as error:
        raise EngineError("the service could not start", hint=_first_line(error)) from error
    finally:
        if address is None:
            ray_serve.shutdown()  # type: ignore[no-untyped-call]
            ray.shutdown()
        else:
            ray_serve.delete(APP_NAME)


def tune_serve() -> None:
    """Ray Serve's switch for fewer threads and direct calls between replicas: a request without a verdict to make takes
    5 instead of 10 ms. To be called before Ray is imported; replicas inherit it. What is set already stays.
    """
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


def _greet(settings: ServeSettings, messages: Console) -> None:
    url = f"http://{settings.http.host}:{settings.http.port}"
    messages.print(f"serving at {url} with '{settings.judge.engine.model}', constitution '{settings.constitution}'")
    messages.print(f"  try: curl -s {url}/v1/judge -F media=@photo.jpg", markup=False)
    if settings.http.page:
        messages.print(f"  or open {url}/ in a browser")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
