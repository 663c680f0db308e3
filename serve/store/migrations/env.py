"""Runs the migrations in the transaction of the connection that is given; Alembic executes this file."""

from __future__ import annotations

from alembic import context

from serve.store.models import Base

# SQLite changes tables in transactions, too; Alembic does not count on it unless told.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,
)
context.run_migrations()
