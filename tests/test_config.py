from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from judge.config import EngineConfig, JudgeConfig, Thresholds, load_config
from judge.errors import ConfigError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_fields_left_out_keep_their_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, "engine: {model: some/model, device: cuda:1}\nthresholds: {preset: clue}\nmax_frames: 3\n")
    assert load_config(path) == JudgeConfig(
        engine=EngineConfig(model="some/model", device="cuda:1"), thresholds=Thresholds(preset="clue"), max_frames=3
    )


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "# nothing set\n")) == JudgeConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("engine: {devise: cpu}", "engine.devise: there is no such setting"),
        ("max_frames: 0", "max_frames: Input should be greater than or equal to 1"),
        ("max_frames: many", "max_frames: Input should be a valid integer"),
        ("thresholds: {preset: fancy}", "thresholds.preset: Input should be 'none', 'threshold', 'clue', 'log_odds'"),
        ("thresholds: {accept: 1.5}", "thresholds.accept: Input should be less than or equal to 1"),
        ("thresholds: {bias: .nan}", "thresholds.bias: Input should be a finite number"),
        ("thresholds: {accept: 0.1}", "thresholds: Value error, reject (0.2) must not be above accept (0.1)"),
        ("a: 1\nb: 2", "a: there is no such setting (and 1 more)"),
        ("[1, 2]", "must be a mapping of settings, not a list"),
        ("engine: {", "is not valid YAML"),
        ("engine: !!python/object/apply:os.system [ls]", "is not valid YAML"),
        ("engine: !!int one", "is not valid YAML"),  # no date: a library that vLLM imports turns those into text
    ],
)
def test_a_wrong_file_names_itself_and_the_field(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert f"config '{path}'" in str(caught.value)
    assert message in str(caught.value)


@pytest.mark.parametrize("make", [lambda p: p.mkdir(), lambda p: p.write_bytes(b"\xff\xfe\x00"), lambda p: None])
def test_an_unreadable_file_is_a_config_error(tmp_path: Path, make: object) -> None:
    path = tmp_path / "config.yaml"
    assert callable(make)
    make(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(path)


def test_digest_is_stable_and_sees_every_field() -> None:
    changed = {
        "preset": "clue",
        "accept": 0.9,
        "reject": 0.1,
        "bias": 0.5,
        "prior_weight": 1.0,
        "prior_clip": 0.1,
        "accept_margin": 2.0,
        "reject_margin": 2.0,
        "clue_reject": 0.4,
        "clue_accept": 0.9,
        "clue_region": 0.5,
        "contextual_references": ["blank"],
        "contrastive_strength": 0.5,
        "contrastive_reference": "occluded",
        "corpus": {"knife": {"mean": 0.5}},
        "region_accept": 2.0,
        "region_reject": 0.1,
        "min_mass": 0.1,
    }
    assert set(changed) == set(Thresholds.model_fields)
    digests = {Thresholds.model_validate({field: value}).digest for field, value in changed.items()}
    assert Thresholds().digest == Thresholds().digest
    assert len(digests | {Thresholds().digest}) == len(changed) + 1
    assert Thresholds(accept=0.8).digest == Thresholds().digest


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        JudgeConfig().max_frames = 3  # type: ignore[misc]
