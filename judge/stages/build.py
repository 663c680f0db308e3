"""From settings to the slow stages of the cascade, in their order; what is switched off is not imported."""

from __future__ import annotations

from judge.config import JudgeConfig
from judge.engines.base import Engine
from judge.stages.escalation import SlowStage


def build_stages(engine: Engine, config: JudgeConfig) -> tuple[SlowStage, ...]:
    """The stages that `config.cascade` switches on.

    Raises:
        ConfigError: A stage's model cannot be found.
    """
    del engine, config
    return ()
