"""Alembic's folder: see `serve.store.migrate`, which gives it the connection."""
