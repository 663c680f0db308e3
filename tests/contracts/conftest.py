"""Engines under the contract: scripted, tiny real models through transformers, the embedded one through vLLM."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from judge.engines.base import Engine
from judge.engines.scripted import Answer, ScriptedEngine
from judge.engines.transformers import TransformersEngine
from tests.contracts.tiny_models import BUILDERS
from tests.contracts.vllm_engine import needs_vllm, shared_vllm_engine

MODELS = tuple(BUILDERS)


torch.set_num_threads(1)  # such small models only lose time to threads


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name of a tiny model -> its folder, built on first use."""

    @cache
    def build(name: str) -> Path:
        return BUILDERS[name](tmp_path_factory.mktemp("models") / name)

    return build


@pytest.fixture(scope="session")
def load_engine(model_folder: Callable[[str], Path]) -> Callable[[str], Engine]:
    """Name of a tiny model, "vllm" or "scripted" -> its engine, loaded once."""

    @cache
    def load(name: str) -> Engine:
        if name == "vllm":
            return shared_vllm_engine()
        if name == "scripted":
            return ScriptedEngine({"dog": 0.9, "cat": Answer(0.2, mass=0.7)}, text_only={"dog": 0.6}, default=0.5)
        return TransformersEngine(str(model_folder(name)), batch_size=8)

    return load


@pytest.fixture(params=["scripted", *MODELS, pytest.param("vllm", marks=(pytest.mark.slow, needs_vllm))])
def engine(request: pytest.FixtureRequest, load_engine: Callable[[str], Engine]) -> Engine:
    return load_engine(request.param)


@pytest.fixture(params=MODELS)
def model_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)
