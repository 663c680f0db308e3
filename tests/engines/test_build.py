from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from judge.config import EngineConfig
from judge.engines.base import Capabilities, ModelInfo
from judge.engines.build import build_engine, check_capabilities
from judge.engines.scripted import ScriptedEngine
from judge.engines.transformers import TransformersEngine
from judge.errors import ConfigError


def test_a_folder_becomes_a_running_engine(model_folder: Callable[[str], Path]) -> None:
    engine = build_engine(EngineConfig(model=str(model_folder("idefics3")), device="cpu", batch_size=4))
    assert isinstance(engine, TransformersEngine)
    assert engine.info.name == "idefics3"
    assert engine.capabilities == Capabilities(max_frames=8, structured=find_spec("llguidance") is not None)


def test_an_embedded_model_keeps_its_name(model_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model_folder("idefics3")
    monkeypatch.setattr("judge.engines.transformers.model_path", {"stickers-vlm": folder}.get)
    assert build_engine(EngineConfig(device="cpu")).info.name == "stickers-vlm"


def test_the_scripted_engine_can_be_configured(tmp_path: Path) -> None:
    (tmp_path / "script.json").write_text(json.dumps({"default": 0.5}))
    engine = build_engine(EngineConfig(name="scripted", model=str(tmp_path / "script.json")))
    assert isinstance(engine, ScriptedEngine)


def test_an_unknown_engine_is_named() -> None:
    with pytest.raises(ConfigError, match=r"unknown engine 'transfomers' \(did you mean 'transformers'\?\)"):
        build_engine(EngineConfig(name="transfomers"))


def test_what_an_engine_lacks_is_found_when_it_is_built() -> None:
    blind = Capabilities(choice_probabilities=False, text_only=False, max_frames=1)
    engine = ScriptedEngine(capabilities=blind, info=ModelInfo("blind", "0"))
    with pytest.raises(ConfigError) as caught:
        check_capabilities(engine, Capabilities(max_frames=4, generation=False))
    assert caught.value.message == (
        "model 'blind' cannot do what this pipeline needs: choice_probabilities (False < True), "
        "max_frames (1 < 4), text_only (False < True)"
    )
    check_capabilities(engine, blind)


def test_a_model_that_cannot_read_a_prior_is_refused_where_one_is_needed(model_folder: Callable[[str], Path]) -> None:
    config = EngineConfig(model=str(model_folder("paligemma")), device="cpu")
    with pytest.raises(ConfigError, match=r"'paligemma' cannot .* text_only \(False < True\)"):
        build_engine(config, required=Capabilities(max_frames=1))
