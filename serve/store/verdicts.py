"""Results that were kept, each for the key that asked for it."""

from __future__ import annotations

import time

from sqlalchemy.orm import Session

from judge.client.wire import JudgeResult
from serve.context import Caller
from serve.store.database import Database
from serve.store.models import VerdictRow


class StoredVerdicts:
    """As `VerdictArchive`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, caller: Caller, result: JudgeResult) -> None:
        row = verdict_row(caller.key_id, result, time.time())
        await self._database.write(lambda session: session.add(row))

    async def find(self, caller: Caller, id: str) -> JudgeResult | None:
        """As `VerdictArchive.find`."""
        return await self._database.read(lambda session: read_verdict(session, caller.key_id, id))


def verdict_row(key_id: str, result: JudgeResult, at_s: float) -> VerdictRow:
    return VerdictRow(
        id=result.id, key_id=key_id, media_digest=result.verdict.media_id if result.verdict else "",
        body=result.model_dump_json(), created_at_s=at_s,
    )  # fmt: skip


def is_id(text: str) -> bool:
    """Whether it may be an id of ours: some databases refuse to look for others, e.g. with a NUL in them."""
    return text.isascii() and text.isalnum()


def read_verdict(session: Session, key_id: str, id: str) -> JudgeResult | None:
    row = session.get(VerdictRow, id) if is_id(id) else None
    return None if row is None or row.key_id != key_id else JudgeResult.model_validate_json(row.body)
