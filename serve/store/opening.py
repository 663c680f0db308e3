"""The store as one: opened, brought up to date, cleaned, closed."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

from sqlalchemy import delete

from judge.errors import ConfigError
from serve.settings import StoreSettings
from serve.store.database import Database
from serve.store.deliveries import DeliveryTable
from serve.store.jobs import JobTable
from serve.store.keys import StoredKeys
from serve.store.media import WaitingMedia
from serve.store.migrate import migrate
from serve.store.models import CachedVerdictRow, DeliveryRow, JobRow, VerdictRow
from serve.store.policies import StoredPolicies
from serve.store.verdicts import StoredVerdicts

_DAY_S = 86_400.0


class Store:
    """Everything that remembers, over one database."""

    def __init__(self, database: Database, folder: Path, keep_days: int) -> None:
        self.database = database
        self.policies = StoredPolicies(database)
        self.verdicts = StoredVerdicts(database)
        self.keys = StoredKeys(database)
        self.jobs = JobTable(database)
        self.deliveries = DeliveryTable(database)
        self.media = WaitingMedia(folder / "waiting")
        self._keep_s = keep_days * _DAY_S

    async def clean(self) -> None:
        """Delete what is older than it may be, and media of jobs that no longer wait."""
        before_s = time.time() - self._keep_s
        old = (
            delete(DeliveryRow).where(DeliveryRow.created_at_s < before_s),
            delete(VerdictRow).where(VerdictRow.created_at_s < before_s),
            delete(CachedVerdictRow).where(CachedVerdictRow.created_at_s < before_s),
            delete(JobRow).where(JobRow.ended_at_s < before_s),
        )
        await self.database.write(lambda session: [session.execute(each) for each in old])
        await asyncio.to_thread(self.media.sweep, await self.jobs.waiting_ids())

    def close(self) -> None:
        self.database.close()


def open_store(settings: StoreSettings) -> Store:
    """Open the database, make it if there is none, and upgrade its schema.

    Raises:
        ConfigError: The settings name none that can be opened, or a newer version made it.
        StoreError: It cannot be reached.
    """
    folder = settings.folder or default_folder()
    database = open_database(settings)
    try:
        migrate(database)
    except BaseException:
        database.close()
        raise
    return Store(database, folder, settings.keep_days)


def open_database(settings: StoreSettings) -> Database:
    """The database as it is. Raises `ConfigError`."""
    folder = settings.folder or default_folder()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the folder '{folder}' cannot be made", hint="set store.folder") from error
    return Database(settings.url or f"sqlite:///{folder.absolute() / 'store.db'}")


def default_folder() -> Path:
    """The user's data folder for this project, by the XDG convention."""
    base = os.environ.get("XDG_DATA_HOME", "")
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "share") / "visual-judge"
