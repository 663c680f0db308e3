"""What starts, what warns, what refuses: the three settings against the four findings."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import numpy as np
import pytest

from judge.assets import constitution_path
from judge.canary import check_at_start
from judge.config import EngineConfig, JudgeConfig, load_config
from judge.constitution import load_constitution
from judge.engines.scripted import Answer, Scripted, ScriptedEngine
from judge.errors import ConfigError, EngineError
from judge.pipeline import Judge
from judge.stages.fitted import NO_GUARANTEE
from judge.stages.prior_store import PriorStore
from judge.types import Frame, Media
from tests.canary.making import CAT, recorded, scripted

DRIFTED: dict[str, Scripted] = {CAT: Answer(0.9, mass=0.9)}


@pytest.fixture
def record_file(tmp_path: Path) -> Path:
    path = tmp_path / "pen.json"
    path.write_text(recorded().model_dump_json())
    return path


def start(engine: ScriptedEngine, canary: str, file: Path | None) -> tuple[str, ...]:
    config = EngineConfig.model_validate({"canary": canary, "canary_file": file})
    return asyncio.run(check_at_start(engine, config))


@pytest.mark.parametrize("canary", ["warn", "strict"])
def test_a_build_that_scores_as_recorded_starts_without_a_word(canary: str, record_file: Path) -> None:
    engine = scripted()
    assert start(engine, canary, record_file) == ()
    assert len(engine.calls) == 1


def test_drift_is_a_notice_or_a_refusal(record_file: Path) -> None:
    (notice,) = start(scripted(DRIFTED), "warn", record_file)
    assert "1 of 12 golden answers are off; 'knife-at-cat: There is a cat.': P(Yes) 0.3" in notice
    with pytest.raises(ConfigError, match="1 of 12 golden answers are off") as caught:
        start(scripted(DRIFTED), "strict", record_file)
    assert caught.value.hint == "use the recorded build, or if this one is meant, measure and record it again"


def test_a_record_of_another_model_is_a_notice_or_a_refusal(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(recorded().model_copy(update={"model_digest": "0" * 64}).model_dump_json())
    (notice,) = start(scripted(), "warn", path)
    assert "recorded for another model" in notice
    assert "record again" in notice
    with pytest.raises(ConfigError, match="recorded for another model"):
        start(scripted(), "strict", path)


def test_a_missing_record_is_a_refusal_only_where_one_is_demanded(caplog: pytest.LogCaptureFixture) -> None:
    engine = scripted()
    with caplog.at_level(logging.INFO, logger="judge.canary"):
        assert start(engine, "warn", None) == ()
    assert [(each.levelname, each.message) for each in caplog.records] == [
        ("INFO", "canary: there is no record of model 'pen'")
    ]
    with pytest.raises(ConfigError, match="no record of model 'pen'") as caught:
        start(engine, "strict", None)
    assert "judge canary record --out FILE" in caught.value.hint
    assert engine.calls == []


def test_off_asks_and_reads_nothing(tmp_path: Path) -> None:
    engine = scripted(DRIFTED)
    assert start(engine, "off", tmp_path / "missing.json") == ()
    assert engine.calls == []


@pytest.mark.parametrize("canary", ["warn", "strict"])
def test_a_broken_record_or_engine_never_passes(canary: str, tmp_path: Path, record_file: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        start(scripted(), canary, tmp_path / "missing.json")
    with pytest.raises(EngineError, match="canary question"):
        start(scripted({CAT: float("nan")}), canary, record_file)
    with pytest.raises(EngineError, match="canary: the golden questions failed: gone"):
        start(scripted({CAT: EngineError("gone")}), canary, record_file)


async def test_every_verdict_tells_of_the_drift(record_file: Path) -> None:
    engine = scripted(DRIFTED)
    notices = await check_at_start(engine, EngineConfig(canary_file=record_file))
    policy = load_constitution(constitution_path("stickers"))
    judge = Judge(engine, policy, JudgeConfig(), priors=PriorStore(), notices=notices)
    pictures = [Media(str(n), "image", (Frame(0, 0.0, np.zeros((4, 4, 3), np.uint8)),), 0.0) for n in range(2)]
    assert len(notices) == 1
    assert [verdict.notices for verdict in await judge.judge(pictures)] == [(NO_GUARANTEE, *notices)] * 2


def test_the_setting_comes_from_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "judge.yaml"
    path.write_text("engine: {canary: strict, canary_file: mine.json}\n")
    engine = load_config(path).engine
    assert (engine.canary, engine.canary_file, EngineConfig().canary) == ("strict", Path("mine.json"), "warn")
    path.write_text("engine: {canary: loud}\n")
    with pytest.raises(ConfigError, match=r"engine\.canary: Input should be 'off', 'warn' or 'strict'"):
        load_config(path)
