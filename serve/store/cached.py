"""Verdicts that judges keep for the same bytes, beyond their memory and their lives: see `serve.verdict_cache`.

A cache: what cannot be read is judged again, and what cannot be written is lost, with a line in the log.
"""

from __future__ import annotations

import logging
import time

from pydantic import ValidationError
from sqlalchemy.orm import Session

from judge.types import Verdict
from serve.problems import StoreError
from serve.settings import StoreSettings
from serve.store.database import Database
from serve.store.migrate import migrate
from serve.store.models import CachedVerdictRow
from serve.store.opening import open_database

_LOG = logging.getLogger(__name__)


class CachedVerdicts:
    """By the keys of `verdict_key`. The database is its own to close."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key: str) -> Verdict | None:
        """None if there is none that can be read."""
        try:
            body = await self._database.read(lambda session: _body(session, key))
            return None if body is None else Verdict.model_validate_json(body)
        except (StoreError, ValidationError) as error:
            _LOG.warning("a cached verdict cannot be read, it is judged again: %s", type(error).__name__)
            return None

    async def keep(self, key: str, body: str) -> None:
        """`body` is a verdict as JSON; one that is there already stays."""
        row = CachedVerdictRow(key=key, body=body, created_at_s=time.time())
        try:
            await self._database.write(lambda session: _add(session, row))
        except StoreError:
            _LOG.warning("a verdict cannot be cached in the database")

    def close(self) -> None:
        self._database.close()


def open_cached(settings: StoreSettings) -> CachedVerdicts:
    """The same database as the store's, made or upgraded where it is not.

    Raises:
        ConfigError: As `open_store`.
        StoreError: As `open_store`.
    """
    database = open_database(settings)
    try:
        migrate(database)
    except BaseException:
        database.close()
        raise
    return CachedVerdicts(database)


def _body(session: Session, key: str) -> str | None:
    row = session.get(CachedVerdictRow, key)
    return None if row is None else row.body


def _add(session: Session, row: CachedVerdictRow) -> None:
    if session.get(CachedVerdictRow, row.key) is None:
        session.add(row)
