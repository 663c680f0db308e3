"""Real vLLM with the embedded model: started once for the whole test session, because that takes many seconds."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import pytest

from judge.config import EngineConfig
from judge.engines.build import build_engine
from judge.engines.vllm import VllmEngine

one_vllm = pytest.mark.xdist_group("vllm")
"""On every test with `shared_vllm_engine` or an engine of its own: they run in one process, one after the other."""
needs_vllm = pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed: make setup-vllm")


@cache
def shared_vllm_engine() -> VllmEngine:
    """It ends with the interpreter; who kills it must do `shared_vllm_engine.cache_clear()`."""
    return start_vllm_engine(EngineConfig(name="vllm"))


def start_vllm_engine(config: EngineConfig) -> VllmEngine:
    """A test's own."""
    engine = build_engine(config)
    assert isinstance(engine, VllmEngine)
    return engine
