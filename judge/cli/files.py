"""Writes what a command was told to write."""

from __future__ import annotations

from pathlib import Path

from judge.errors import ConfigError


def write_text(path: Path, text: str) -> None:
    """Create or replace a file, with the folders above it.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"'{path}' cannot be written: {error.strerror}") from error
