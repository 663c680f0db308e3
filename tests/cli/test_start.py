from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from judge.cli.start import start_engine
from judge.config import EngineConfig
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
