"""`judge models`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from judge.profiles import load_profiles
from tests.cli.running import judge
from tests.engines.test_hub_cache import WHOLE, download
from tests.test_profiles import MINE


@pytest.fixture(autouse=True)
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the hub's models on this machine."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def more(tmp_path: Path) -> tuple[str, str]:
    path = tmp_path / "mine.yaml"
    path.write_text(MINE.replace("me/mine", "owner/name").replace("0123456789" * 4, "a" * 40))
    return "--profiles", str(path)


def test_the_table_shows_what_a_person_chooses_by() -> None:
    done = judge("models")
    assert (done.returncode, done.stderr) == (0, "")
    lines = {line.split("│")[1].strip(): line for line in done.stdout.splitlines() if line.startswith("│")}
    assert set(load_profiles()) <= set(lines)
    qwen = [cell.strip() for cell in lines["qwen3-vl-8b"].split("│")[1:-1]]
    assert qwen == [
        "qwen3-vl-8b", "transformers", "8.8 B", "20.6 GiB", "Apache-2.0", "vision-language model", "no",
    ]  # fmt: skip
    assert "embedded" in lines["stickers-vlm"]
    assert "scenes composed of emoji stickers" in lines["stickers-vlm"]
    assert "Gemma terms of use (gated)" in lines["shieldgemma-2"]
    assert "not known" in lines["llavaguard-7b"]


def test_json_is_every_profile_with_what_this_machine_knows(hub: Path, more: tuple[str, str]) -> None:
    download(hub, WHOLE)
    done = judge("models", "--json", *more)
    found = {each["name"]: each for each in json.loads(done.stdout)}
    assert list(found) == [*load_profiles(), "mine"]
    assert {name: each["on_this_machine"] for name, each in found.items()} == {
        **dict.fromkeys(load_profiles(), "no"),
        "stickers-vlm": "embedded",
        "mine": "yes",
    }
    assert found["mine"]["memory_bytes"] == 2_400_000_000 + (1 << 30)
    assert found["mine"]["traits"]["spellings"] == {"Yes": ["bad"]}


def test_one_model_in_full() -> None:
    done = judge("models", "shieldgemma-2")
    assert done.returncode == 0
    shown = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line and line[0] != " ")
    assert shown["memory"] == "10.6 GiB (estimate for bfloat16)"
    assert (shown["gated"], shown["verified"], shown["on_this_machine"]) == ("true", "false", "no")
    assert json.loads(shown["traits"])["question"] == {"template": "guard_shieldgemma", "frames_last": False}
    assert done.stdout.splitlines()[-4:] == [
        "how to run:",
        "  accept the terms of google/shieldgemma-2-4b-it on the hub and log in there first",
        "  judge score pictures/ --model shieldgemma-2",
        "  from a downloaded folder, in a configuration file: engine: {model: FOLDER, profile: shieldgemma-2}",
    ]


def test_one_model_for_programs() -> None:
    found = json.loads(judge("models", "stickers-vlm", "--json").stdout)
    assert (found["name"], found["on_this_machine"], found["parameters"]) == ("stickers-vlm", "embedded", 6606528)


def test_a_half_downloaded_model_is_told_from_a_whole_one(hub: Path, more: tuple[str, str]) -> None:
    download(hub, {"config.json": b"{}"})
    done = judge("models", "mine", *more)
    assert "on_this_machine: incomplete" in done.stdout.splitlines()


def test_an_unknown_name_is_a_usage_error() -> None:
    done = judge("models", "stikers-vlm")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "judge: unknown model profile 'stikers-vlm' (did you mean 'stickers-vlm'?)\n"


def test_a_wrong_file_is_named(tmp_path: Path) -> None:
    done = judge("models", "--profiles", str(tmp_path / "none.yaml"))
    assert done.returncode == 2
    assert "none.yaml' cannot be read" in done.stderr
