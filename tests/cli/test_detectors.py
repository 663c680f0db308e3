"""`judge detectors`."""

from __future__ import annotations

import importlib.util
import json

import pytest

from judge.bench.detectors.build import detector_names
from judge.bench.detectors.catalogue import CATALOGUE
from tests.cli.running import judge


def test_every_detector_that_can_be_built_is_listed() -> None:
    assert tuple(sorted(CATALOGUE)) == detector_names()
    done = judge("detectors")
    assert (done.returncode, done.stderr) == (0, "")
    cells = {line.split("│")[1].strip() for line in done.stdout.splitlines() if line.startswith("│")}
    assert set(detector_names()) <= cells


def test_programs_get_everything() -> None:
    found = json.loads(judge("detectors", "--json").stdout)
    assert [each["name"] for each in found] == list(detector_names())
    ours = next(each for each in found if each["name"] == "ours-fast")
    assert (ours["constitution"], ours["threshold"], ours["modalities"]) == ("stickers", None, ["image", "video"])
    assert {"violence", "hate", "drugs"} <= set(ours["categories"])


def test_one_can_be_asked_for() -> None:
    (found,) = json.loads(judge("detectors", "q16", "--json").stdout)
    assert (found["name"], found["categories"], found["threshold"]) == ("q16", None, 0.5)


def test_a_missing_package_is_told_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "judge.bench.detectors.catalogue.find_spec", lambda name: None if name == "nudenet" else real(name)
    )
    (found,) = json.loads(judge("detectors", "nudenet", "--json").stdout)
    assert found["missing_packages"] == ["nudenet"]
    squeezed = "".join(judge("detectors", "nudenet").stdout.replace("│", "").split())
    assert "visual-judge[nudenet]" in squeezed


def test_a_misspelt_name_is_wrong_usage() -> None:
    done = judge("detectors", "nudnet")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'nudenet'?" in done.stderr
