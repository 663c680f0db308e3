from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from judge.cli.start import start_engine, start_panel
from judge.config import Cascade, DebateSettings, EngineConfig, JudgeConfig
from judge.engines.scripted import ScriptedEngine
from judge.errors import ConfigError


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"default": 0.1}))
    return str(path)


def test_an_engine_that_is_refused_is_closed(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[ScriptedEngine] = []

    async def close(self: ScriptedEngine) -> None:
        closed.append(self)

    monkeypatch.setattr(ScriptedEngine, "close", close)
    config = EngineConfig(name="scripted", model=script, canary="strict")
    with pytest.raises(ConfigError, match="no record of model 'scripted'"):
        start_engine(config, Console(file=io.StringIO()))
    assert len(closed) == 1
    engine, notices = start_engine(config.model_copy(update={"canary": "warn"}), Console(file=io.StringIO()))
    assert (len(closed), notices, engine.info.name) == (1, (), "scripted")


def panel_of(script: str, *names: str, **roles: str) -> JudgeConfig:
    debate = DebateSettings.model_validate({"enabled": True, "panel": roles})
    engine = EngineConfig(name="scripted", model=script)
    return JudgeConfig(panel=dict.fromkeys(names, engine), cascade=Cascade(debate=debate))


def test_only_models_that_play_a_role_are_started(script: str) -> None:
    settings = panel_of(script, "chalk", "ink", "idle", affirmative="chalk", negative="ink", critic="ink")
    panel, notices = start_panel(settings, Console(file=io.StringIO()))
    assert ([*panel], notices) == (["chalk", "ink"], ())
    off = settings.model_copy(update={"cascade": Cascade(debate=DebateSettings(panel={"judge": "chalk"}))})
    assert start_panel(off, Console(file=io.StringIO())) == ({}, ())


def test_a_panel_that_cannot_be_started_whole_is_closed(script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[ScriptedEngine] = []

    async def close(self: ScriptedEngine) -> None:
        closed.append(self)

    monkeypatch.setattr(ScriptedEngine, "close", close)
    settings = panel_of(script, "chalk", affirmative="chalk", negative="ink")
    broken = EngineConfig(name="scripted", model="no-such-file.json")
    settings = settings.model_copy(update={"panel": {**settings.panel, "ink": broken}})
    with pytest.raises(ConfigError, match="no-such-file"):
        start_panel(settings, Console(file=io.StringIO()))
    assert len(closed) == 1
