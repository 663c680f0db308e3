"""`judge calibrate` with the embedded model: what it writes, who may use it, and what it cannot fit on."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from judge.config import Calibrated
from tests.cli.running import judge

LOOSE = ("--max-error", "0.35", "--confidence", "0.8", "--levels", "0.2,0.3,0.4,0.5")
"""So that a few dozen labels are enough."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    splits = ("--split", "calibration", "--split", "test")
    assert judge("stickers", "generate", str(folder), "--count", "80", *splits).returncode == 0
    return folder


@pytest.fixture(scope="module")
def fitted(scenes: Path) -> tuple[Path, dict[str, object]]:
    """The settings, and what was printed."""
    out = scenes / "calibrated.yaml"
    said = judge(
        "calibrate", "stickers", "--root", str(scenes), "--split", "calibration", "--test", "test", *LOOSE,
        "--out", str(out), "--report", str(scenes / "fit.html"), "--json",
    )  # fmt: skip
    assert said.returncode == 0, said.stderr
    return out, json.loads(said.stdout)


def test_it_writes_settings_that_name_what_they_were_fitted_with(fitted: tuple[Path, dict[str, object]]) -> None:
    out, told = fitted
    written = yaml.safe_load(out.read_text())["calibrated"]
    assert Calibrated.model_validate(written) == Calibrated.model_validate(told["calibrated"])
    assert set(written["made_with"]) == {"model", "templates", "constitution", "thresholds", "cascade"}
    assert all(len(digest) == 64 for digest in written["made_with"].values())
    assert written["data"]["n"] == 80
    assert (written["max_error"], written["confidence"]) == (0.35, 0.8)


def test_promised_and_measured_errors_stand_side_by_side(fitted: tuple[Path, dict[str, object]]) -> None:
    (applied,) = fitted[1]["applied"]  # type: ignore[misc]
    assert applied["n"] == 80
    settled = sum(side["n"] for side in applied["sides"])
    assert settled == applied["covered"] > 40
    for side in applied["sides"]:
        assert side["low"] <= side["n_wrong"] / side["n"] <= side["high"]
        assert side["n_wrong"] / side["n"] <= 0.35
    assert applied["ece_after"]["value"] < applied["ece_before"]["value"]


def test_the_page_shows_tests_errors_and_reliability_and_needs_nothing_else(
    scenes: Path, fitted: tuple[Path, dict[str, object]]
) -> None:
    page = (scenes / "fit.html").read_text()
    (applied,) = fitted[1]["applied"]  # type: ignore[misc]
    tested = sum(len(side["tested"]) for stage in fitted[1]["tests"] for side in (stage["unsafe"], stage["safe"]))  # type: ignore[attr-defined]
    assert page.count('<th scope="row">fast</th>') == tested + len(applied["sides"])
    assert page.count("in use") == sum(
        bool(side["chosen"]) for stage in fitted[1]["tests"] for side in stage.values() if isinstance(side, dict)
    )  # type: ignore[attr-defined]
    assert sum(row[2] for row in applied["reliability_before"]) == 80
    assert "<svg" in page
    assert not re.search(r"(src|href)=.(?!#|data:)", page)


def test_verdicts_made_with_it_say_what_is_promised(scenes: Path, fitted: tuple[Path, dict[str, object]]) -> None:
    pictures = sorted((scenes / "test").glob("*.png"))[:6]
    said = judge("score", *map(str, pictures), "--config", str(fitted[0]), "--jsonl")
    verdicts = [json.loads(line)["verdict"] for line in said.stdout.splitlines()]
    settled = [each for each in verdicts if each["guarantee"]]
    assert settled
    assert {each["versions"]["calibrated"] for each in verdicts} == {fitted[1]["digest"]}
    for each in settled:
        assert each["guarantee"]["side"] == each["decision"]
        assert each["guarantee"]["max_error"] == 0.35
        assert 0 <= each["calibrated_score"] <= 1
    text = judge("score", str(pictures[0]), "--config", str(fitted[0]), "--explain").stdout
    assert "at most 35% of what a stage calls unsafe" in " ".join(text.split())


@pytest.mark.parametrize(("options", "named"), [
    (("--preset", "none"), "thresholds"), (("--constitution", "general"), "constitution"), (("--vote",), "cascade"),
])  # fmt: skip
def test_it_is_refused_with_anything_else(
    scenes: Path, fitted: tuple[Path, dict[str, object]], options: tuple[str, ...], named: str
) -> None:
    picture = next((scenes / "test").glob("*.png"))
    said = judge("score", str(picture), "--config", str(fitted[0]), *options)
    assert said.returncode == 2
    assert f"fitted with another {named}" in " ".join(said.stderr.split())
    assert "judge calibrate" in said.stderr


def test_an_existing_file_is_kept(scenes: Path, fitted: tuple[Path, dict[str, object]]) -> None:
    before = fitted[0].read_bytes()
    said = judge("calibrate", "stickers", "--root", str(scenes), "--out", str(fitted[0]))
    assert said.returncode == 2
    assert "--force" in said.stderr
    assert fitted[0].read_bytes() == before


@pytest.mark.parametrize(("options", "words"), [
    (("--levels", "a,b"), "no numbers"), (("--levels", "0.5,0.2"), "ascend"), (("--max-error", "2"), "between 0 and 1"),
    (("--confidence", "1"), "between 0 and 1"), (("--split", "nowhere"), "nowhere"),
])  # fmt: skip
def test_bad_options_are_named(scenes: Path, tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    out = tmp_path / "out.yaml"
    said = judge("calibrate", "stickers", "--root", str(scenes), "--out", str(out), *options)
    assert said.returncode == 2
    assert words in " ".join(said.stderr.split())
    assert not out.exists()


def test_pictures_without_labels_or_of_one_class_fit_nothing(scenes: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(next((scenes / "test").glob("*.png")), bare / "a.png")
    said = judge("calibrate", str(bare), "--out", str(tmp_path / "out.yaml"))
    assert said.returncode == 2
    assert "no labelled pictures" in said.stderr
    assert "'a.png': it has no label" in " ".join(said.stderr.split())
    one = tmp_path / "one" / "safe"
    one.mkdir(parents=True)
    shutil.copy(bare / "a.png", one / "a.png")
    said = judge("calibrate", str(one.parent), "--out", str(tmp_path / "out.yaml"))
    assert said.returncode == 2
    assert "no harmful pictures: nothing can be fitted" in " ".join(said.stderr.split())


def test_what_cannot_be_used_is_left_out_and_counted(scenes: Path, tmp_path: Path) -> None:
    """With so few labels nothing can be promised, and that is what it says."""
    pictures = [str(path) for path in sorted((scenes / "test").glob("*.png"))[:6]]
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    names = [*pictures, str(tmp_path / "broken.png"), str(tmp_path / "gone.png")]
    rows = "".join(f"{name},{('safe', 'unsafe')[place % 2]}\n" for place, name in enumerate(names))
    (tmp_path / "labels.csv").write_text("path,label\n" + rows)
    out = tmp_path / "out.yaml"
    said = judge("calibrate", str(tmp_path / "labels.csv"), "--root", "/", "--out", str(out))
    assert said.returncode == 3, said.stderr
    left_out = [line for line in said.stderr.splitlines() if "is left out" in line]
    assert [name in line for name, line in zip(("broken.png", "gone.png"), left_out, strict=True)] == [True, True]
    assert "too few labels to promise anything" in " ".join(said.stdout.split())
    (stage,) = yaml.safe_load(out.read_text())["calibrated"]["stages"]
    assert (stage.get("unsafe"), stage.get("safe")) == (None, None)
