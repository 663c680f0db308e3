"""Brings the schema of a database up to date; two that start together do it one after the other."""

from __future__ import annotations

import threading
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util.exc import CommandError
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from judge.errors import ConfigError
from serve.problems import StoreError
from serve.store.database import Database

_LOCK_ID = 7_238_114_061
"""Of PostgreSQL's advisory lock: any number that others do not use."""
_ONE_AT_A_TIME = threading.Lock()
"""Alembic's context is global in a process."""


def migrate(database: Database, revision: str = "head") -> tuple[str, str]:
    """Upgrade to a revision; returns the revision before, empty for a new database, and after.

    Raises:
        ConfigError: The database was made by a newer version.
        StoreError: It cannot be reached or changed.
    """
    try:
        with _ONE_AT_A_TIME, database.connect_to_write() as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:id)"), {"id": _LOCK_ID})
            before = current_revision(connection)
            command.upgrade(_config(connection), revision)
            return before, current_revision(connection)
    except CommandError as error:
        raise ConfigError(
            "the database's schema is not known to this version", hint="a newer version made it: install that one"
        ) from error
    except SQLAlchemyError as error:
        raise StoreError("the database cannot be opened", hint="see store.url and store.folder") from error


def current_revision(connection: Connection) -> str:
    """Empty for a database without tables of ours."""
    return MigrationContext.configure(connection).get_current_revision() or ""


def newest_revision() -> str:
    return ScriptDirectory(str(_folder())).get_current_head() or ""


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _folder() -> Path:
    return Path(__file__).with_name("migrations")
