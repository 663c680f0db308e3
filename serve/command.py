"""`judge serve`: starts the service on this machine, or in a Ray cluster, and stays until it is told to end."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Optional

import typer

from judge.assets import constitution_path
from judge.cli.options import override_engine
from judge.config import load_settings
from judge.errors import EngineError, JudgeError
from serve.gate import build_gate
from serve.launch import run
from serve.listening import listen
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
    listen(settings.http).close()
