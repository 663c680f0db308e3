"""One engine for detectors with equal settings: three of ours side by side load the model once."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from judge.config import EngineConfig
from judge.engines.base import Engine
from judge.engines.build import build_engine


@dataclass(slots=True)
class _Held:
    engine: Engine
    holders: int = 0


_LOCK = threading.Lock()
_HELD: dict[str, _Held] = {}


class Lease:
    """A share of an engine, which is closed with its last holder.

    Raises:
        ConfigError: As `build_engine`, if nobody holds one with these settings.
        EngineError: The same.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._key = config.model_dump_json()
        self._open = True
        with _LOCK:
            self.is_first = self._key not in _HELD
            if self.is_first:
                _HELD[self._key] = _Held(build_engine(config))
            held = _HELD[self._key]
            held.holders += 1
            self.engine = held.engine

    async def close(self) -> None:
        """May be called twice."""
        if not self._open:
            return
        self._open = False
        with _LOCK:
            held = _HELD[self._key]
            held.holders -= 1
            if held.holders:
                return
            del _HELD[self._key]
        await self.engine.close()
