"""The tables. A change here needs a migration in `migrations/versions`; a test compares the two.

Times (`*_at_s`, `*_until_s`) are seconds since 1970, UTC: the same number in every database.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Double, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

Id = String(64)
Digest = String(64)


class Base(DeclarativeBase):
    """Root of the tables."""


class ConstitutionRow(Base):
    """One version of a constitution. No row of a name is active = the one of the installation is."""

    __tablename__ = "constitutions"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[str] = mapped_column(String(200), primary_key=True)
    digest: Mapped[str] = mapped_column(Digest)
    text: Mapped[str] = mapped_column(Text)
    active: Mapped[bool] = mapped_column(Boolean)
    created_at_s: Mapped[float] = mapped_column(Double)


class KeyRow(Base):
    """An API key, of which only the digest is known."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), index=True)
    sha256: Mapped[str] = mapped_column(Digest, unique=True)
    scopes: Mapped[str] = mapped_column(String(100))
    """With spaces between."""
    requests_per_minute: Mapped[int | None] = mapped_column(Integer)
    media_per_day: Mapped[int | None] = mapped_column(Integer)
    created_at_s: Mapped[float] = mapped_column(Double)
    revoked_at_s: Mapped[float | None] = mapped_column(Double)


class VerdictRow(Base):
    """A result that was kept: of a request that asked for it, or of a video job."""

    __tablename__ = "verdicts"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    key_id: Mapped[str] = mapped_column(Id)
    media_digest: Mapped[str] = mapped_column(Digest)
    """Empty where the media could not be read."""
    body: Mapped[str] = mapped_column(Text)
    """A `JudgeResult` as JSON."""
    created_at_s: Mapped[float] = mapped_column(Double, index=True)


class CachedVerdictRow(Base):
    """A verdict that judges keep, by what it depends on."""

    __tablename__ = "cached_verdicts"

    key: Mapped[str] = mapped_column(Digest, primary_key=True)
    """As `serve.verdict_cache.verdict_key`."""
    body: Mapped[str] = mapped_column(Text)
    """A `Verdict` as JSON."""
    created_at_s: Mapped[float] = mapped_column(Double, index=True)


class JobRow(Base):
    """A video job. Who holds the lease may write what becomes of it, and nobody else."""

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("key_id", "client_token", name="uq_jobs_key_id_client_token"),
        Index("ix_jobs_state_created_at_s", "state", "created_at_s"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    key_id: Mapped[str] = mapped_column(Id)
    client_token: Mapped[str | None] = mapped_column(String(64))
    request_digest: Mapped[str] = mapped_column(Digest)
    """Of everything that was asked, media included."""
    request: Mapped[str] = mapped_column(Text)
    """A `JobRequest` as JSON: everything but the media's bytes and the policy."""
    policy: Mapped[str] = mapped_column(Text)
    """The constitution itself as JSON: what it is changed to meanwhile does not matter."""
    media_digest: Mapped[str | None] = mapped_column(Digest)
    """Of the bytes in the folder; NULL = by URL."""
    state: Mapped[str] = mapped_column(String(16))
    """queued, running, succeeded, failed, cancelled."""
    attempts: Mapped[int] = mapped_column(Integer)
    not_before_s: Mapped[float] = mapped_column(Double)
    lease: Mapped[str | None] = mapped_column(Id)
    lease_until_s: Mapped[float] = mapped_column(Double)
    error: Mapped[str | None] = mapped_column(Text)
    """An `InputError` as JSON."""
    verdict_id: Mapped[str | None] = mapped_column(Id)
    created_at_s: Mapped[float] = mapped_column(Double)
    ended_at_s: Mapped[float | None] = mapped_column(Double, index=True)


class DeliveryRow(Base):
    """A message that somebody is to be told. Written together with what it tells."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (Index("ix_webhook_deliveries_state_next_at_s", "state", "next_at_s"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    job_id: Mapped[str] = mapped_column(Id, index=True)
    url: Mapped[str] = mapped_column(Text)
    host: Mapped[str] = mapped_column(String(300))
    """Host and port of the URL: so many messages may be on their way to each."""
    body: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    """pending, delivered, failed."""
    attempts: Mapped[int] = mapped_column(Integer)
    next_at_s: Mapped[float] = mapped_column(Double)
    """When it is due, or due again if nobody says what became of the attempt under way."""
    lease: Mapped[str | None] = mapped_column(Id)
    last_error: Mapped[str] = mapped_column(Text)
    created_at_s: Mapped[float] = mapped_column(Double, index=True)
