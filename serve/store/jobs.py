"""Video jobs in the database: taken once, begun at least once, ended once.

A worker claims a job with a lease and renews it. Whatever it writes is conditional on the lease: a worker that was
taken for dead, or whose job was cancelled, writes nothing.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import ValidationError
from sqlalchemy import CursorResult, Select, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from judge.client.wire import JudgeResult
from judge.config import StageChoice
from judge.constitution import Constitution
from judge.types import InputError, Wire
from serve.problems import Conflict, Overloaded, StoreError
from serve.store.database import Database
from serve.store.deliveries import Message, delivery_row
from serve.store.models import DeliveryRow, JobRow, VerdictRow
from serve.store.verdicts import is_id, read_verdict, verdict_row

JobState = Literal["queued", "running", "succeeded", "failed", "cancelled"]


class JobRequest(Wire):
    """What was asked, but for the media's bytes and the policy."""

    name: str
    """Of the media, for messages."""
    url: str | None = None
    """Where the media is; None = its bytes were sent."""
    text: str = ""
    """Posted with the media."""
    constitution: str
    """`name@version`."""
    stages: StageChoice = StageChoice()
    """As in `JudgeOptions`."""
    min_confidence: float = 0.0
    """Labels below it are left out, in percent."""
    job_tag: str | None = None
    """The caller's own word for it."""
    webhook_url: str | None = None
    """Who is told when it has ended."""


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to take. `request_digest`: of everything that was asked, the media included."""

    id: str
    key_id: str
    client_token: str | None
    request_digest: str
    request: JobRequest
    policy: Constitution
    media_digest: str | None


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that this worker alone may end, as long as it renews the lease. `attempt` counts from 1."""

    id: str
    lease: str
    attempt: int
    request: JobRequest
    policy: str
    media_digest: str | None


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job as its owner sees it. `result` only of those that succeeded."""

    id: str
    state: JobState
    attempts: int
    request: JobRequest
    error: InputError | None
    created_at_s: float
    ended_at_s: float | None
    media_digest: str | None
    result: JudgeResult | None


@dataclass(frozen=True, slots=True)
class End:
    """What became of a job: a result, or an error; and who is told."""

    result: JudgeResult | None
    error: InputError | None
    message: Message | None


MadeEnd = Callable[[str, JobRequest], End]
"""(id, request) -> how a job ends whose worker died too often."""


class JobTable:
    """The jobs. Every method raises `StoreError` if the database cannot be used."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def known(self, key_id: str, client_token: str | None, request_digest: str) -> str | None:
        """Id of the job that was taken with this token before.

        Raises:
            Conflict: It was about something else.
        """
        return await self._database.read(lambda session: _known(session, key_id, client_token, request_digest))

    async def add(self, new: NewJob, *, max_waiting: int) -> str:
        """Take a job; returns the id of the one taken with the same token before, if there is one.

        Raises:
            Conflict: That one was about something else.
            Overloaded: Too many wait.
        """
        row = _row(new)
        try:
            return await self._database.write(lambda session: _add(session, row, max_waiting))
        except _TokenTaken:  # by another gateway, just now
            known = await self.known(new.key_id, new.client_token, new.request_digest)
            assert known is not None
            return known

    async def find(self, key_id: str, id: str) -> JobStatus | None:
        """None if there is none, or it belongs to another key."""
        return await self._database.read(lambda session: _find(session, key_id, id))

    async def claim(self, lease_s: float, max_attempts: int, died: MadeEnd) -> ClaimedJob | None:
        """The job that has waited longest, or whose worker no longer reports.

        One that was begun `max_attempts` times ends as `died` says: its worker never came to say what was wrong.
        """
        return await self._database.write(lambda session: _claim(session, lease_s, max_attempts, died))

    async def renew(self, job: ClaimedJob, lease_s: float) -> bool:
        """Whether the job is still this worker's."""
        values = {"lease_until_s": time.time() + lease_s}
        return await self._database.write(lambda session: _change(session, job, values))

    async def put_back(self, job: ClaimedJob, pause_s: float, *, counts: bool) -> bool:
        """To be begun again, not before `pause_s` from now. `counts`: the attempt was a failure of the job's."""
        values = {
            "state": "queued",
            "lease": None,
            "attempts": job.attempt if counts else job.attempt - 1,
            "not_before_s": time.time() + pause_s,
        }
        return await self._database.write(lambda session: _change(session, job, values))

    async def end(self, job: ClaimedJob, end: End) -> bool:
        """Write what became of it, with the message about it. False = it was not this worker's any more."""
        return await self._database.write(lambda session: _end(session, job, end))

    async def cancel_or_delete(self, key_id: str, id: str) -> JobStatus | None:
        """Cancel a job that has not ended; delete one that has, with its result. Returns it as it was."""
        return await self._database.write(lambda session: _cancel_or_delete(session, key_id, id))

    async def waiting_ids(self) -> set[str]:
        """Of all that have not ended."""
        return await self._database.read(lambda session: set(session.scalars(_not_ended(select(JobRow.id)))))


class _TokenTaken(Exception):
    pass


def _row(new: NewJob) -> JobRow:
    now_s = time.time()
    return JobRow(
        id=new.id, key_id=new.key_id, client_token=new.client_token, request_digest=new.request_digest,
        request=new.request.model_dump_json(), policy=new.policy.model_dump_json(), media_digest=new.media_digest,
        state="queued", attempts=0, not_before_s=now_s, lease=None, lease_until_s=0.0, created_at_s=now_s,
    )  # fmt: skip


def _add(session: Session, row: JobRow, max_waiting: int) -> str:
    known = _known(session, row.key_id, row.client_token, row.request_digest)
    if known is not None:
        return known
    waiting = session.scalar(select(func.count()).select_from(JobRow).where(JobRow.state == "queued")) or 0
    if waiting >= max_waiting:
        raise Overloaded("too many video jobs wait already", retry_after_s=10.0)
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        if row.client_token is None:
            raise
        raise _TokenTaken from error
    return row.id


def _known(session: Session, key_id: str, client_token: str | None, request_digest: str) -> str | None:
    if client_token is None:
        return None
    row = session.scalar(select(JobRow).where(JobRow.key_id == key_id, JobRow.client_token == client_token))
    if row is not None and row.request_digest != request_digest:
        raise Conflict(
            "there is a job with this ClientRequestToken that asks for something else",
            hint="use a new token for a new request",
        )
    return None if row is None else row.id


def _find(session: Session, key_id: str, id: str) -> JobStatus | None:
    row = session.get(JobRow, id) if is_id(id) else None
    if row is None or row.key_id != key_id:
        return None
    return _status(row, read_verdict(session, key_id, row.verdict_id) if row.verdict_id else None)


def _status(row: JobRow, result: JudgeResult | None) -> JobStatus:
    try:
        error = None if row.error is None else InputError.model_validate_json(row.error)
        request = JobRequest.model_validate_json(row.request)
    except ValidationError as broken:
        raise StoreError(f"the job '{row.id}' was written by another version, in another form") from broken
    state: JobState = row.state  # type: ignore[assignment]
    return JobStatus(
        row.id, state, row.attempts, request, error, row.created_at_s,
        row.ended_at_s, row.media_digest, result,
    )  # fmt: skip


def _claim(session: Session, lease_s: float, max_attempts: int, died: MadeEnd) -> ClaimedJob | None:
    while True:
        row = session.scalar(_claimable(time.time()))
        if row is None:
            return None
        try:
            job = _take(session, row, lease_s)
        except ValidationError:  # one row must not stop the work on all that came later
            _end_unreadable(row)
            continue
        if row.attempts <= max_attempts:
            return job
        row.attempts = max_attempts
        _end(session, job, died(row.id, job.request))


def _end_unreadable(row: JobRow) -> None:
    error = InputError(code="job_unreadable", message="the job was written by another version, in another form")
    row.state, row.lease, row.ended_at_s, row.error = "failed", None, time.time(), error.model_dump_json()


def _claimable(now_s: float) -> Select[JobRow]:
    waits = (JobRow.state == "queued") & (JobRow.not_before_s <= now_s)
    left = (JobRow.state == "running") & (JobRow.lease_until_s < now_s)
    # Locked where the database knows row locks: two workers that look at the same time find different jobs.
    return (
        select(JobRow).where(or_(waits, left)).order_by(JobRow.created_at_s).limit(1).with_for_update(skip_locked=True)
    )


def _take(session: Session, row: JobRow, lease_s: float) -> ClaimedJob:
    row.state, row.lease, row.lease_until_s = "running", uuid.uuid4().hex, time.time() + lease_s
    row.attempts += 1
    session.flush()
    request = JobRequest.model_validate_json(row.request)
    return ClaimedJob(row.id, row.lease, row.attempts, request, row.policy, row.media_digest)


def _change(session: Session, job: ClaimedJob, values: Mapping[str, object]) -> bool:
    """Nothing, unless the lease is still this one."""
    mine = (JobRow.id == job.id) & (JobRow.lease == job.lease) & (JobRow.state == "running")
    changed = cast("CursorResult[Any]", session.execute(update(JobRow).where(mine).values(**values)))
    return changed.rowcount == 1


def _end(session: Session, job: ClaimedJob, end: End) -> bool:
    now_s = time.time()
    values = {
        "state": "succeeded" if end.result else "failed",
        "lease": None,
        "ended_at_s": now_s,
        "verdict_id": end.result.id if end.result else None,
        "error": end.error.model_dump_json() if end.error else None,
    }
    if not _change(session, job, values):
        return False
    if end.result is not None:
        key_id = session.scalars(select(JobRow.key_id).where(JobRow.id == job.id)).one()
        session.add(verdict_row(key_id, end.result, now_s))
    if end.message is not None:
        session.add(delivery_row(job.id, end.message, now_s))
    return True


def _cancel_or_delete(session: Session, key_id: str, id: str) -> JobStatus | None:
    if not is_id(id):
        return None
    row = session.scalar(select(JobRow).where(JobRow.id == id, JobRow.key_id == key_id).with_for_update())
    if row is None:
        return None
    before = _status(row, None)
    if row.state in ("queued", "running"):
        row.state, row.lease, row.ended_at_s = "cancelled", None, time.time()
    else:
        session.execute(delete(VerdictRow).where(VerdictRow.id == row.verdict_id))
        session.execute(delete(DeliveryRow).where(DeliveryRow.job_id == id))
        session.delete(row)
    return before


def _not_ended(query: Select[str]) -> Select[str]:
    return query.where(JobRow.state.in_(("queued", "running")))
