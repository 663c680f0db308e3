"""Messages of webhooks in the database: written with what they tell, and kept until they arrived or were given up."""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from serve.store.database import Database
from serve.store.models import DeliveryRow


@dataclass(frozen=True, slots=True)
class Message:
    """Whom to tell what. `host` = host and port of the URL."""

    url: str
    host: str
    body: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message to send now. `id` stays the same at every attempt, which counts from 1."""

    id: str
    lease: str
    attempt: int
    message: Message


class DeliveryTable:
    """The messages. Every method raises `StoreError` if the database cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, lease_s: float, busy: Collection[str], most: int) -> list[Delivery]:
        """Messages that are due, one for each host, none for those that are busy."""
        return await self._database.write(lambda session: _claim(session, lease_s, busy, most))

    async def delivered(self, delivery: Delivery) -> None:
        await self._change(delivery, state="delivered", lease=None, last_error="")

    async def failed(self, delivery: Delivery, reason: str, pause_s: float | None) -> None:
        """To be tried again after the pause; None = never."""
        if pause_s is None:
            await self._change(delivery, state="failed", lease=None, last_error=reason)
        else:
            await self._change(delivery, next_at_s=time.time() + pause_s, lease=None, last_error=reason)

    async def put_back(self, delivery: Delivery) -> None:
        """It was not tried."""
        await self._change(delivery, next_at_s=time.time(), lease=None, attempts=delivery.attempt - 1)

    async def _change(self, delivery: Delivery, **values: object) -> None:
        mine = (DeliveryRow.id == delivery.id) & (DeliveryRow.lease == delivery.lease)
        await self._database.write(lambda session: session.execute(update(DeliveryRow).where(mine).values(**values)))


def delivery_row(job_id: str, message: Message, at_s: float) -> DeliveryRow:
    return DeliveryRow(
        id=uuid.uuid4().hex, job_id=job_id, url=message.url, host=message.host, body=message.body, state="pending",
        attempts=0, next_at_s=at_s, lease=None, last_error="", created_at_s=at_s,
    )  # fmt: skip


def _claim(session: Session, lease_s: float, busy: Collection[str], most: int) -> list[Delivery]:
    taken: list[Delivery] = []
    skipped = set(busy)
    while len(taken) < most:
        row = session.scalar(
            select(DeliveryRow)
            .where(
                DeliveryRow.state == "pending",
                DeliveryRow.next_at_s <= time.time(),
                DeliveryRow.host.not_in(skipped),
            )
            .order_by(DeliveryRow.next_at_s)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        if row is None:
            break
        taken.append(_take(session, row, lease_s))
        skipped.add(row.host)
    return taken


def _take(session: Session, row: DeliveryRow, lease_s: float) -> Delivery:
    row.lease, row.next_at_s = uuid.uuid4().hex, time.time() + lease_s
    row.attempts += 1
    session.flush()
    return Delivery(row.id, row.lease, row.attempts, Message(row.url, row.host, row.body))
