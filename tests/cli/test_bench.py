"""`judge bench` in the test's process: real detectors on real pictures, resumed, retried, and refused."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from judge.assets import sample_media_path
from judge.bench.predictions import PREDICTIONS, read_predictions
from judge.bench.results import BenchResult
from tests.cli.running import judge

pytest.importorskip("judge.bench.detectors.build")

FAST, DIRECT = "ours-fast,label=fast", "ours-policy-direct,label=direct"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Eight of the sample pictures, with labels in VHD11K's columns."""
    whole, folder = sample_media_path("test-small"), tmp_path / "set"
    with (whole / "harmful_image_test_ann.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[:8]
    (folder / "test").mkdir(parents=True)
    for row in rows:
        shutil.copy(whole / row["imagePath"], folder / row["imagePath"])
    with (folder / "harmful_image_test_ann.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    shutil.copy(whole / "scenes_test.jsonl", folder / "scenes_test.jsonl")
    return folder


def arguments(root: Path, *more: str) -> list[str]:
    place = ["--dataset", "stickers", "--root", str(root), "--split", "test", "--out", str(root.parent / "out")]
    return ["bench", *place, "--rounds", "20", *more]


def test_two_detectors_are_measured_resumed_and_shown_again(root: Path) -> None:
    out = root.parent / "out"
    done = judge(*arguments(root, "--detector", FAST, "--robustness", "flip", "--limit", "6", "--json"))
    assert done.returncode == 0, done.stderr
    found = BenchResult.model_validate_json(done.stdout)
    assert found == BenchResult.model_validate_json((out / "results.json").read_text())
    assert [each.label for each in found.detectors] == ["fast"]
    assert (found.samples, found.card) == (6, "stickers")
    assert [each.perturbation for each in found.detectors[0].robustness] == ["flip"]
    assert found.pairs == ()
    first = (out / PREDICTIONS).read_bytes()
    assert first.count(b"\n") == 12

    done = judge(*arguments(root, "--detector", FAST, "--detector", DIRECT))
    assert done.returncode == 0, done.stderr
    assert (out / PREDICTIONS).read_bytes().startswith(first)
    assert len(list(read_predictions(out))) == 12 + 2 + 8
    for words in ("fast", "direct", "McNemar p", "left out", "report.html"):
        assert words in done.stdout + done.stderr
    page = (out / "report.html").read_text()
    assert "data:image/jpeg" in page
    assert "Detectors as judges" in page

    again = judge("bench", "--report-only", "--out", str(out), "--rounds", "20", "--json", "--no-thumbnails")
    assert again.returncode == 0
    told = json.loads(again.stdout)
    assert [each["label"] for each in told["detectors"]] == ["fast", "direct"]
    assert told["detectors"][0]["overall"]["answered"]["tpr"]["value"] > 0.7
    assert len(list(read_predictions(out))) == 22
    assert "data:image/jpeg" not in (out / "report.html").read_text()


def test_what_cannot_be_read_is_an_error_until_it_is_retried(root: Path) -> None:
    broken = next((root / "test").glob("*.png"))
    whole = broken.read_bytes()
    broken.write_bytes(whole[:200])
    done = judge(*arguments(root, "--detector", FAST))
    assert done.returncode == 3
    assert broken.name in done.stdout.replace("\n", "")
    out = root.parent / "out"
    errors = [row for row in read_predictions(out) if row.failed]
    assert [(row.sample, row.flagged) for row in errors] == [(f"test/{broken.name}", None)]
    broken.write_bytes(whole)
    assert judge(*arguments(root, "--detector", FAST)).returncode == 3  # it is not asked again by itself
    done = judge(*arguments(root, "--detector", FAST, "--retry-failed", "--json"))
    assert done.returncode == 0
    assert json.loads(done.stdout)["detectors"][0]["tally"]["errors"] == 0


def test_another_detector_or_split_under_the_same_name_is_refused(root: Path) -> None:
    assert judge(*arguments(root, "--detector", FAST, "--limit", "2")).returncode == 0
    done = judge(*arguments(root, "--detector", f"{FAST},threshold=0.9", "--limit", "2"))
    assert done.returncode == 2
    assert "holds predictions of another 'fast'" in done.stderr
    for name in ("harmful_image_test_ann.csv", "scenes_test.jsonl"):
        shutil.copy(root / name, root / name.replace("_test", "_test-words"))
    other = [word if word != "test" else "test-words" for word in arguments(root, "--detector", FAST)]
    done = judge(*other)
    assert done.returncode == 2
    assert "holds predictions with another" in done.stderr
    done = judge(*arguments(root, "--detector", FAST, "--detector", f"{DIRECT.partition(',')[0]},label=fast"))
    assert done.returncode == 2
    assert "two detectors are called 'fast'" in done.stderr


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--detector", "nudnet"], "unknown detector 'nudnet'"),
        (["--detector", FAST, "--robustness", "fog"], "unknown perturbation 'fog'"),
        (["--detector", FAST, "--reference", "vhd11k"], "no published figures for 'vhd11k'"),
        (["--detector", FAST, "--report-only"], "--report-only asks nothing"),
        ([], "what to measure, and on what?"),
    ],
)
def test_wrong_usage(root: Path, more: list[str], message: str) -> None:
    done = judge(*arguments(root, *more))
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert not (root.parent / "out").exists()


def test_sets_without_labels_and_folders_without_a_run(root: Path, tmp_path: Path) -> None:
    done = judge("bench", "--dataset", str(root / "test"), "--detector", FAST, "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    assert "has no labelled samples" in done.stderr
    done = judge("bench", "--report-only", "--out", str(tmp_path / "nothing"))
    assert done.returncode == 2
    assert "holds no benchmark run" in done.stderr
    assert not (tmp_path / "nothing").exists()


def test_help_has_examples() -> None:
    text = judge("bench", "--help").stdout
    for words in ("Examples:", "--retry-failed", "--report-only", "Exit codes: 0 measured", "collage"):
        assert words in text
