"""Verdicts that judges keep for the same bytes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "cached_verdicts",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("created_at_s", sa.Double(), nullable=False),
    )
    op.create_index("ix_cached_verdicts_created_at_s", "cached_verdicts", ["created_at_s"])
