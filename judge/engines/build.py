"""From a configuration to a running engine. Model libraries are imported here only when they are chosen."""

from __future__ import annotations

from dataclasses import fields
from typing import Protocol, Self

from judge.config import EngineConfig
from judge.engines.base import Capabilities, Engine
from judge.errors import ConfigError
from judge.profiles import resolve_profile
from judge.registry import Registry

FAST_PATH = Capabilities(generation=False, text_only=False)
"""The least that any pipeline needs: next-token probabilities about one image."""


class ConfigurableEngine(Engine, Protocol):
    """An engine that can be named in a configuration."""

    @classmethod
    def from_config(cls, config: EngineConfig) -> Self: ...


ENGINES: Registry[ConfigurableEngine] = Registry("engine")
ENGINES.register("transformers", "judge.engines.transformers:TransformersEngine")
ENGINES.register("openai", "judge.engines.openai:OpenAIEngine")
ENGINES.register("vllm", "judge.engines.vllm:VllmEngine")
ENGINES.register("scripted", "judge.engines.scripted:ScriptedEngine")


def build_engine(config: EngineConfig, *, required: Capabilities = FAST_PATH) -> Engine:
    """Load the model that `config` names. Slow: seconds to minutes.

    Raises:
        ConfigError: Unknown engine, profile or model, or one that cannot do what is `required`.
        EngineError: The model does not fit or cannot answer at all.
    """
    config = resolve_profile(config)
    engine = ENGINES.load(config.name).from_config(config)
    check_capabilities(engine, required)
    return engine


def check_capabilities(engine: Engine, required: Capabilities) -> None:
    """Fail at start-up instead of on the first image.

    Raises:
        ConfigError: The engine lacks something; the message names all of it.
    """
    missing = [
        f"{field.name} ({getattr(engine.capabilities, field.name)} < {getattr(required, field.name)})"
        for field in fields(Capabilities)
        if getattr(engine.capabilities, field.name) < getattr(required, field.name)
    ]
    if missing:
        raise ConfigError(
            f"model '{engine.info.name}' cannot do what this pipeline needs: {', '.join(missing)}",
            hint="choose another engine or model",
        )
