"""The database: transactions in threads, and its errors in our words.

Sessions are synchronous, so that every driver of SQLAlchemy serves; they run in threads of their own, which slow media
or webhooks cannot take.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session

from judge.errors import ConfigError
from serve.problems import StoreError

T = TypeVar("T")
_THREADS = 8
_PATIENCE_S = 10.0
"""How long a transaction waits for another one."""
_WRITES = "judge_writes"


class Database:
    """Runs functions in transactions. `url` as `StoreSettings.url`.

    Raises:
        ConfigError: There is no such kind of database, or its driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self._writing = self.engine.execution_options(**{_WRITES: True})
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")

    async def read(self, work: Callable[[Session], T]) -> T:
        """Raises `StoreError`, and what `work` raises of our own errors."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.read_now, work)

    async def write(self, work: Callable[[Session], T]) -> T:
        """The same, and what was done is kept, all of it or nothing."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.write_now, work)

    def read_now(self, work: Callable[[Session], T]) -> T:
        """As `read`, in this thread."""
        return _within(self.engine, work)

    def write_now(self, work: Callable[[Session], T]) -> T:
        """As `write`, in this thread."""
        return _within(self._writing, work)

    def connect_to_write(self) -> Connection:
        """For migrations; an error is SQLAlchemy's."""
        return self._writing.connect()

    def close(self) -> None:
        """Wait for what is under way."""
        self._threads.shutdown()
        self.engine.dispose()


def _within(engine: Engine, work: Callable[[Session], T]) -> T:
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            return work(session)
    except SQLAlchemyError as error:
        raise StoreError("the database cannot be used now") from error


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return create_engine(parsed, pool_size=_THREADS, pool_pre_ping=True)
        if not parsed.database or parsed.database == ":memory:":
            raise ConfigError("an SQLite store must be a file", hint="leave store.url empty for one in store.folder")
        engine = create_engine(parsed, pool_size=_THREADS, connect_args={"timeout": _PATIENCE_S})
    except (ArgumentError, NoSuchModuleError) as error:
        raise ConfigError("store.url names no database", hint="e.g. postgresql+psycopg://user@host/name") from error
    except ImportError as error:
        raise ConfigError(
            f"the driver of store.url is not installed: {error.name}", hint=f"pip install {error.name}"
        ) from error
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    """One connection of SQLite: transactions begin where we say (the module's own begin too late), and WAL."""
    connection.isolation_level = None
    ends_at = time.monotonic() + _PATIENCE_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:  # the switch does not wait for others that switch
            if time.monotonic() > ends_at:
                raise
            time.sleep(0.02)
        else:
            return


def _begin(connection: Connection) -> None:
    # A transaction that read first and writes later fails at once if another one wrote meanwhile.
    options: dict[str, Any] = dict(connection.get_execution_options())
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get(_WRITES) else "BEGIN")
