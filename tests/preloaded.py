"""What `tests.forking` imports once: everything that the embedded model and the commands need."""

from __future__ import annotations

import asyncio

import judge.bench.ablation
import judge.cli.app  # noqa: F401
from judge.config import EngineConfig
from judge.engines.build import build_engine

asyncio.run(build_engine(EngineConfig()).close())  # imports the classes of its own kind of model
