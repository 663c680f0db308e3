"""`judge fit-scan` as a person runs it, with a tiny SigLIP model made on the spot."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from judge.cli.app import main
from judge.config import load_config
from judge.types import ScoreRow
from tests.engines.test_encoders import build_siglip

RULES = ("minors.gambling", "drugs.non_medical", "violence.weapon_threat")
SURE = ("--recall", "0.5", "--confidence", "0.9", "--no-always-ask")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build_siglip(tmp_path_factory.mktemp("encoder")))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of noise, eight of which violate a rule; then one that is no picture, and one unknown rule."""
    folder = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(12):
        Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(folder / f"{number}.png")
        rows.append((f"{number}.png", "yes" if number < 8 else "no", RULES[number % 3] if number < 8 else ""))
    (folder / "bad.png").write_bytes(b"no picture")
    rows += [("bad.png", "no", ""), ("0.png", "yes", "drugs.medical")]
    with (folder / "harmful_image_calibration_ann.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("imagePath", "decision", "harmfulType"), *rows])
    return folder


def judge(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "judge.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)


def refusal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> str:
    """What the command says before it exits with 2; in this process, because starting one takes seconds."""
    monkeypatch.setattr(sys, "argv", ["judge", "fit-scan", str(folder), *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    printed = capsys.readouterr()
    assert (caught.value.code, printed.out) == (2, "")
    return printed.err


def fit_scan(labelled: Path, encoder: str, *more: str) -> subprocess.CompletedProcess[str]:
    return judge("fit-scan", str(labelled), "--embedder", "siglip", "--model", encoder, *more)


def test_what_is_written_drops_what_was_measured(labelled: Path, encoder: str, tmp_path: Path) -> None:
    """The judge, run with the settings, drops as many rules of the same pictures as the fit said."""
    out = tmp_path / "deep" / "scan.yaml"
    done = fit_scan(labelled, encoder, *SURE, "--json", "--out", str(out))
    assert done.returncode == 3, done.stderr
    found = json.loads(done.stdout)
    assert set(found["left_out"]) == {str(labelled / "bad.png"), str(labelled / "0.png")}
    assert "'drugs.medical'" in found["left_out"][str(labelled / "0.png")]
    assert "bad.png' is left out: " in done.stderr
    fitted = found["scans"]["fitted"]
    assert (found["pictures"], fitted["violated"], fitted["recall_low"] >= 0.5) == (12, 8, True)
    assert 0.0 < fitted["dropped"] < 1.0
    assert found["scans"]["no scan"]["questions_saved"] == 0.0 < fitted["questions_saved"]
    relevance = load_config(out).cascade.relevance
    assert relevance.threshold == found["threshold"] == fitted["threshold"]
    assert (relevance.embedder, relevance.model, relevance.always_ask) == ("siglip", encoder, ())
    pictures = [str(labelled / f"{number}.png") for number in range(12)]
    judged = judge("score", *pictures, "--config", str(out), "--jsonl")
    verdicts = [ScoreRow.model_validate_json(line).verdict for line in judged.stdout.splitlines()]
    dropped = [
        any(item.stage == "relevance" for item in rule.evidence)
        for verdict in verdicts
        if verdict is not None
        for rule in verdict.rules
    ]
    assert len(verdicts) == 12
    assert sum(dropped) / len(dropped) == pytest.approx(fitted["dropped"])
    again = fit_scan(labelled, encoder, *SURE, "--out", str(out))
    assert (again.returncode, "exists already" in again.stderr) == (2, True)


def test_the_table_is_for_people_and_force_overwrites(labelled: Path, encoder: str, tmp_path: Path) -> None:
    out, base = tmp_path / "scan.yaml", tmp_path / "base.yaml"
    out.write_text("old")
    base.write_text("max_frames: 3\ncascade: {reasoning: {enabled: true}}\n")
    done = fit_scan(labelled, encoder, *SURE, "--config", str(base), "--out", str(out), "--force", "--count", "12")
    assert done.returncode == 0, done.stderr
    lines = {line.split("│")[1].strip(): line for line in done.stdout.splitlines() if line.startswith("│")}
    assert list(lines) == ["fitted", "published", "no scan"]
    assert "0.2200" in lines["published"]
    assert "8 / 8" in lines["no scan"]
    written = load_config(out)
    assert (written.max_frames, written.cascade.reasoning.enabled, written.cascade.relevance.embedder) == (
        3,
        True,
        "siglip",
    )
    assert out.read_text().startswith("# Scan fitted to stickers@")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recall", "1"), "--recall 1 is not between 0 and 1 (no number of labels supports 1)"),
        (("--confidence", "0"), "--confidence 0 is not between 0 and 1"),
        ((), "no encoder is named (one of clip, siglip)"),
        (("--embedder", "blip"), "--embedder 'blip' is none (one of clip, siglip)"),
        (("--embedder", "siglip"), "--embedder siglip needs its --model"),
        (("--embedder", "siglip", "--model", "x", "--split", "train"), "split table"),
        (("--embedder", "siglip", "--model", "./nowhere", *SURE), "nowhere"),
        (("--embedder", "siglip", "--model", "./nowhere"), "needs at least 299 violated rules"),  # before it is read
    ],
)
def test_wrong_use_is_told(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    labelled: Path,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    assert message in refusal(monkeypatch, capsys, labelled, *arguments)


def test_labels_of_another_constitution_are_no_labels(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "harmful_image_calibration_ann.csv").write_text(
        "imagePath,decision,harmfulType\na.png,yes,violent content\n"
    )
    told = refusal(monkeypatch, capsys, tmp_path, "--embedder", "clip", "--model", "x")
    assert "no label can be used: " in told
    assert "the constitution has no rule 'violent content'" in told
