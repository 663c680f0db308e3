"""Video jobs and webhooks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("key_id", sa.String(64), nullable=False),
        sa.Column("client_token", sa.String(64)),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("media_digest", sa.String(64)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("not_before_s", sa.Double(), nullable=False),
        sa.Column("lease", sa.String(64)),
        sa.Column("lease_until_s", sa.Double(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("verdict_id", sa.String(64)),
        sa.Column("created_at_s", sa.Double(), nullable=False),
        sa.Column("ended_at_s", sa.Double()),
        sa.UniqueConstraint("key_id", "client_token", name="uq_jobs_key_id_client_token"),
    )
    op.create_index("ix_jobs_state_created_at_s", "jobs", ["state", "created_at_s"])
    op.create_index("ix_jobs_ended_at_s", "jobs", ["ended_at_s"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("host", sa.String(300), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_at_s", sa.Double(), nullable=False),
        sa.Column("lease", sa.String(64)),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("created_at_s", sa.Double(), nullable=False),
    )
    op.create_index("ix_webhook_deliveries_job_id", "webhook_deliveries", ["job_id"])
    op.create_index("ix_webhook_deliveries_state_next_at_s", "webhook_deliveries", ["state", "next_at_s"])
    op.create_index("ix_webhook_deliveries_created_at_s", "webhook_deliveries", ["created_at_s"])
