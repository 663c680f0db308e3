"""Engines under the contract: scripted, one that asks a server, tiny real models, the embedded one through vLLM and
through vLLM's server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from judge.config import OpenAIOptions
from judge.engines.base import Engine
from judge.engines.openai import OpenAIEngine
from judge.engines.scripted import Answer, ScriptedEngine
from judge.engines.transformers import TransformersEngine
from tests.contracts.tiny_models import BUILDERS
from tests.contracts.tiny_tiled_models import TILED_BUILDERS
from tests.contracts.vllm_engine import needs_vllm, one_vllm, shared_vllm_engine
from tests.contracts.vllm_server import one_server, shared_vllm_server
from tests.engines.openai_server import hashed, serve_chat

ALL_BUILDERS = BUILDERS | TILED_BUILDERS
MODELS = tuple(ALL_BUILDERS)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Name of a tiny model -> its folder, built on first use."""

    @cache
    def build(name: str) -> Path:
        return ALL_BUILDERS[name](tmp_path_factory.mktemp("models") / name)

    return build


@pytest.fixture(scope="session")
def load_engine(model_folder: Callable[[str], Path]) -> Iterator[Callable[[str], Engine]]:
    """Name of a tiny model, "scripted" or "openai" -> its engine, loaded once."""
    with ExitStack() as stack:

        @cache
        def load(name: str) -> Engine:
            if name == "scripted":
                return ScriptedEngine(
                    {"dog": 0.9, "cat": Answer(0.2, mass=0.7)},
                    text_only={"dog": 0.6},
                    default=0.5,
                    default_generation='{"rating": "Yes", "certainty": 3}',
                )
            if name == "openai":
                server = stack.enter_context(serve_chat(hashed))
                return OpenAIEngine("hashed", OpenAIOptions(base_url=server.base_url))
            return TransformersEngine(str(model_folder(name)), batch_size=8)

        yield load


SLOWLY = (pytest.mark.slow, needs_vllm)
WITH_VLLM = [
    pytest.param("vllm", marks=(*SLOWLY, one_vllm)),
    pytest.param("openai-vllm", marks=(*SLOWLY, one_server)),
]


@pytest.fixture(params=["scripted", "openai", *MODELS, *WITH_VLLM])
def engine(request: pytest.FixtureRequest, load_engine: Callable[[str], Engine]) -> Engine:
    if request.param == "vllm":
        return shared_vllm_engine()
    if request.param == "openai-vllm":
        return shared_vllm_server().engine
    return load_engine(request.param)


@pytest.fixture(params=MODELS)
def model_name(request: pytest.FixtureRequest) -> str:
    return str(request.param)
