"""What actors of the cluster tests run: importable where they are."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from judge.bulk.item import Item
from judge.bulk.judging import Answer
from judge.errors import ConfigError, EngineError
from tests.bulk.making import verdict


@dataclass(frozen=True)
class SlowSpec:
    """Judges by name: some rows end the process, and some only the engine in it.

    Attributes:
        kills: Ids that end the process whenever they are judged.
        dies_once: A file; while it is there, the first judgement removes it and ends the process.
        fails_to_start: Instead of judging.
    """

    kills: frozenset[str] = frozenset()
    dies_once: Path | None = None
    pause_s: float = 0.05
    fails_to_start: bool = False
    takes_bytes: bool = False

    def start(self) -> SlowJudging:
        if self.fails_to_start:
            raise ConfigError("no such model", hint="choose another")
        return SlowJudging(self)


class SlowJudging:
    def __init__(self, spec: SlowSpec) -> None:
        self._spec = spec

    def judge(self, items: Sequence[Item]) -> list[Answer]:
        time.sleep(self._spec.pause_s)
        if self._spec.dies_once is not None and self._spec.dies_once.exists():
            self._spec.dies_once.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        if any(item.sample.id in self._spec.kills for item in items):
            os.kill(os.getpid(), signal.SIGKILL)
        return [self._one(item) for item in items]

    def _one(self, item: Item) -> Answer:
        import ray  # noqa: PLC0415

        if item.media is None:
            return EngineError("it was not decoded")
        node = ray.get_runtime_context().get_node_id()
        return verdict(0.9).model_copy(update={"media_id": item.digest, "model": node})

    def close(self) -> None: ...
