"""API keys. A key is shown once, when it is made; only its digest is kept."""

from __future__ import annotations

import hashlib
import secrets
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError
from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from judge.errors import ConfigError, quoted
from serve.problems import Conflict
from serve.settings import KeySettings, Scope
from serve.store.database import Database
from serve.store.models import KeyRow

_PREFIX = "vj_"
"""So that scanners for leaked secrets can know a key when they see one."""


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """What is known of a key."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None


class StoredKeys:
    """As `serve.gate.KeyStore`; a revoked key is not found from the next request on."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, sha256: str) -> KeySettings | None:
        """As `KeyStore.find`."""
        row = await self._database.read(
            lambda session: session.scalar(select(KeyRow).where(KeyRow.sha256 == sha256, KeyRow.revoked_at_s.is_(None)))
        )
        return None if row is None else _settings(row)

    def new(
        self,
        name: str,
        scopes: Sequence[Scope] = ("judge",),
        *,
        requests_per_minute: int | None = None,
        media_per_day: int | None = None,
    ) -> str:
        """The key itself, which nobody can ask for again.

        Raises:
            ConfigError: The name, the scopes or the limits are wrong, or there is a key of this name.
        """
        key = _PREFIX + secrets.token_urlsafe(32)
        row = KeyRow(
            id=uuid.uuid4().hex, name=name, sha256=hashlib.sha256(key.encode()).hexdigest(),
            scopes=" ".join(dict.fromkeys(scopes)), requests_per_minute=requests_per_minute,
            media_per_day=media_per_day, created_at_s=time.time(),
        )  # fmt: skip
        _settings(row)
        self._database.write_now(lambda session: _add(session, row))
        return key

    def revoke(self, name: str) -> None:
        """Raises `ConfigError` if there is no such key, or no more."""

        def revoke(session: Session) -> None:
            row = session.scalar(_in_use(name))
            if row is None:
                raise ConfigError(f"there is no key {quoted(name)} in use", hint="see `judge serve keys list`")
            row.revoked_at_s = time.time()

        self._database.write_now(revoke)

    def list(self) -> Sequence[KeyEntry]:
        """All of them, revoked ones too, oldest first."""
        rows = self._database.read_now(
            lambda session: session.scalars(select(KeyRow).order_by(KeyRow.created_at_s)).all()
        )
        return [
            KeyEntry(
                row.id, row.name, tuple(row.scopes.split()), datetime.fromtimestamp(row.created_at_s, UTC),
                None if row.revoked_at_s is None else datetime.fromtimestamp(row.revoked_at_s, UTC),
            )
            for row in rows
        ]  # fmt: skip


def _add(session: Session, row: KeyRow) -> None:
    if session.scalar(_in_use(row.name)) is not None:
        raise Conflict(f"there is a key {quoted(row.name)} already", hint="revoke it, or choose another name")
    session.add(row)


def _in_use(name: str) -> Select[KeyRow]:
    return select(KeyRow).where(KeyRow.name == name, KeyRow.revoked_at_s.is_(None))


def _settings(row: KeyRow) -> KeySettings:
    """Raises `ConfigError` if it is not a key that the settings could have."""
    try:
        return KeySettings.model_validate(
            {
                "name": row.name,
                "sha256": row.sha256,
                "scopes": row.scopes.split(),
                "requests_per_minute": row.requests_per_minute,
                "media_per_day": row.media_per_day,
            }
        )
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors()[0]["loc"][:1])
        raise ConfigError(
            f"key {quoted(row.name)}: '{field}' is not valid", hint="scopes are judge and admin"
        ) from error
