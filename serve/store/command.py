"""`judge serve keys ...` and `judge serve migrate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Optional, cast

import typer
from rich.console import Console
from rich.table import Table

from judge.config import load_settings
from serve.settings import Scope, ServeSettings
from serve.store.migrate import migrate
from serve.store.opening import Store, open_database, open_store

_Config = Annotated[Optional[Path], typer.Option(help="YAML with the service's settings; its store is used.")]  # noqa: UP045
_Name = Annotated[str, typer.Argument(help="For logs and metrics.")]


def add_store_commands(app: typer.Typer) -> None:
    """Add `keys` and `migrate` to `judge serve`."""
    keys = typer.Typer(help="API keys in the service's database.", no_args_is_help=True)
    keys.command("new")(new_key)
    keys.command("list")(list_keys)
    keys.command("revoke")(revoke_key)
    app.add_typer(keys, name="keys")
    app.command("migrate")(migrate_store)


def new_key(
    name: _Name,
    scope: Annotated[list[str], typer.Option(help="What it may do: judge, admin. Give it again for both.")] = ["judge"],  # noqa: B006
    requests_per_minute: Annotated[Optional[int], typer.Option(min=1, help="Its own limit.")] = None,  # noqa: UP045
    media_per_day: Annotated[Optional[int], typer.Option(min=1, help="Its own quota.")] = None,  # noqa: UP045
    config: _Config = None,
) -> None:
    """Make a key and print it, once: only its digest is kept."""
    with _store(config) as store:
        scopes = cast("list[Scope]", scope)  # checked there
        key = store.keys.new(name, scopes, requests_per_minute=requests_per_minute, media_per_day=media_per_day)
    print(key)


def list_keys(config: _Config = None) -> None:
    """Show all keys, revoked ones too; never the keys themselves."""
    table = Table("name", "scopes", "made", "revoked", box=None, header_style="bold")
    with _store(config) as store:
        for key in store.keys.list():
            table.add_row(key.name, " ".join(key.scopes), _shown(key.created_at), _shown(key.revoked_at))
    Console().print(table)


def revoke_key(name: _Name, config: _Config = None) -> None:
    """Let a key in no more, from the next request on."""
    with _store(config) as store:
        store.keys.revoke(name)


def migrate_store(config: _Config = None) -> None:
    """Bring the database's schema up to date, as the service does at its start."""
    database = open_database(_settings(config).store)
    try:
        before, after = migrate(database)
    finally:
        database.close()
    print(f"schema {after}" if before == after else f"schema {before or 'none'} -> {after}")


@contextmanager
def _store(config: Path | None) -> Iterator[Store]:
    store = open_store(_settings(config).store)
    try:
        yield store
    finally:
        store.close()


def _settings(config: Path | None) -> ServeSettings:
    return ServeSettings() if config is None else load_settings(ServeSettings, config)


def _shown(at: datetime | None) -> str:
    return "" if at is None else at.strftime("%Y-%m-%d %H:%M")
