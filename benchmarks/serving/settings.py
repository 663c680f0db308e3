"""The same settings for the service and for the direct pipeline."""

from __future__ import annotations

import json
from pathlib import Path

from judge.config import EngineConfig, JudgeConfig

PLACES = 16  # as serve/config.yaml has it
"""Media that are judged at the same time, and as many that wait."""


def judge_config(engine: str, folder: Path) -> JudgeConfig:
    """`embedded`, or `scripted`: an engine that says No at once."""
    if engine == "embedded":
        return JudgeConfig()
    script = folder / "script.json"
    script.write_text(json.dumps({"default": 0.001}), encoding="utf-8")
    return JudgeConfig(engine=EngineConfig(name="scripted", model=str(script)))
