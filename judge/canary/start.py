"""The canary as the entry points run it: once, when an engine has been built."""

from __future__ import annotations

import logging
from pathlib import Path

from judge.assets import canary_path
from judge.canary.check import check_canary
from judge.canary.record import CanaryRecord, load_record
from judge.config import EngineConfig
from judge.engines.base import Engine
from judge.errors import ConfigError

_LOG = logging.getLogger(__name__)


async def check_at_start(engine: Engine, config: EngineConfig) -> tuple[str, ...]:
    """What readers of verdicts must know of this build, for `Judge(notices=...)`; nothing if all is well.

    The engine stays the caller's to close, also after an error.

    Raises:
        ConfigError: A record cannot be read; or `config.canary` is strict, and the scores drifted, or there is no
            record that fits.
        EngineError: The engine cannot answer the golden questions, or some answer is no probability.
    """
    if config.canary == "off":
        return ()
    report = await check_canary(engine, find_record(engine.info.name, config.canary_file))
    if report.status == "ok":
        return ()
    if config.canary == "strict":
        raise ConfigError(report.message, hint=report.hint)
    if report.status == "no_record":
        _LOG.info("%s", report.message)
        return ()
    return (f"{report.message} ({report.hint})",)


def find_record(model: str, own: Path | None = None) -> CanaryRecord | None:
    """The caller's own record, or the one that ships for a model of this name; None if there is neither.

    Raises:
        ConfigError: The record cannot be read.
    """
    path = own or canary_path(model)
    return load_record(path) if path else None
