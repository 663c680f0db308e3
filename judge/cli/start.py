"""Starts and ends the engines of a command that judges."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console

from judge.canary import check_at_start
from judge.cli.bars import Bars
from judge.config import EngineConfig, JudgeConfig
from judge.constitution import Constitution
from judge.engines.base import Engine
from judge.engines.build import build_engine
from judge.errors import JudgeError
from judge.pipeline import Judge
from judge.prompts.debate import JudgedExample


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


def start_panel(settings: JudgeConfig, messages: Console) -> tuple[dict[str, Engine], tuple[str, ...]]:
    """The models of `settings.panel` that play a role in a debate, by name, and what every verdict must say of them.

    Raises:
        ConfigError: As `start_engine`; those started before are closed then.
        EngineError: The same.
    """
    debate = settings.cascade.debate
    played = dict.fromkeys(debate.panel.values()) if debate.enabled else {}
    panel: dict[str, Engine] = {}
    notices: list[str] = []
    for name in played:
        if name not in settings.panel:
            continue  # whoever builds the debate says which role names it
        try:
            panel[name], told = start_engine(settings.panel[name], messages)
        except JudgeError:
            close_all(panel.values())
            raise
        notices += told
    return panel, tuple(notices)


def start_judge(
    policy: Constitution,
    settings: JudgeConfig,
    examples: Mapping[str, Sequence[JudgedExample]],
    messages: Console,
    bars: Bars,
) -> tuple[Judge, list[Engine]]:
    """The judge, and every engine that it uses, which are the caller's to close.

    Raises:
        ConfigError: As `start_engine`, or a stage cannot be built; what was started is closed then.
        EngineError: As `start_engine`.
    """
    engine, notices = start_engine(settings.engine, messages)
    engines = [engine]
    try:
        panel, told = start_panel(settings, messages)
        engines += panel.values()
        judge = Judge(
            engine, policy, settings, panel=panel, examples=examples, notices=(*notices, *told),
            on_progress=bars.watched,
        )  # fmt: skip
    except JudgeError:
        close_all(engines)
        raise
    return judge, engines


def close_all(engines: Iterable[Engine]) -> None:
    for engine in engines:
        asyncio.run(engine.close())
