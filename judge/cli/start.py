"""Starts the engine of a command that judges."""

from __future__ import annotations

import asyncio

from rich.console import Console

from judge.canary import check_at_start
from judge.config import EngineConfig
from judge.engines.base import Engine
from judge.engines.build import build_engine
from judge.errors import JudgeError


def start_engine(config: EngineConfig, messages: Console) -> tuple[Engine, tuple[str, ...]]:
    """The engine, and what every verdict of it must say; that is also printed as a warning.

    Raises:
        ConfigError: As `build_engine` and `check_at_start`; the engine is closed then.
        EngineError: The same.
    """
    engine = build_engine(config)
    try:
        notices = asyncio.run(check_at_start(engine, config))
    except JudgeError:
        asyncio.run(engine.close())
        raise
    for notice in notices:
        messages.print(f"warning: {notice}", style="yellow", markup=False)
    return engine, notices
