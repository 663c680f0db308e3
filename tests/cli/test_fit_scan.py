"""`judge fit-scan` with a tiny SigLIP model made on the spot."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from judge.cli.app import app
from judge.cli.options import EXIT_USAGE
from judge.config import load_config
from judge.errors import JudgeError
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


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str


class Command:
    """`judge` in this process, because starting one takes seconds; `main` says what an error of ours is turned into."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Done:
        with pytest.raises((SystemExit, JudgeError)) as caught:
            app(list(arguments))
        printed, error = self._capsys.readouterr(), caught.value
        if isinstance(error, SystemExit):
            return Done(int(error.code or 0), printed.out, printed.err)
        return Done(EXIT_USAGE, printed.out, printed.err + str(error))


@pytest.fixture
def judge(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def test_what_is_written_drops_what_was_measured(judge: Command, labelled: Path, encoder: str, tmp_path: Path) -> None:
    """The judge, run with the settings, drops as many rules of the same pictures as the fit said."""
    out = tmp_path / "deep" / "scan.yaml"
    arguments = ("fit-scan", str(labelled), "--embedder", "siglip", "--model", encoder, *SURE, "--out", str(out))
    done = judge(*arguments, "--json")
    assert done.code == 3, done.err
    found = json.loads(done.out)
    assert set(found["left_out"]) == {str(labelled / "bad.png"), str(labelled / "0.png")}
    assert "'drugs.medical'" in found["left_out"][str(labelled / "0.png")]
    assert "bad.png' is left out: " in done.err
    fitted = found["scans"]["fitted"]
    assert (found["pictures"], fitted["violated"], fitted["recall_low"] >= 0.5) == (12, 8, True)
    assert 0.0 < fitted["dropped"] < 1.0
    assert found["scans"]["no scan"]["questions_saved"] == 0.0 < fitted["questions_saved"]
    relevance = load_config(out).cascade.relevance
    assert relevance.threshold == found["threshold"] == fitted["threshold"]
    assert (relevance.embedder, relevance.model, relevance.always_ask) == ("siglip", encoder, ())
    pictures = [str(labelled / f"{number}.png") for number in range(12)]
    judged = judge("score", *pictures, "--config", str(out), "--jsonl")
    verdicts = [ScoreRow.model_validate_json(line).verdict for line in judged.out.splitlines()]
    dropped = [
        any(item.stage == "relevance" for item in rule.evidence)
        for verdict in verdicts
        if verdict is not None
        for rule in verdict.rules
    ]
    assert len(verdicts) == 12
    assert sum(dropped) / len(dropped) == pytest.approx(fitted["dropped"])
    again = judge(*arguments)
    assert (again.code, "exists already" in again.err) == (2, True)


def test_the_table_is_for_people_and_force_overwrites(
    judge: Command, labelled: Path, encoder: str, tmp_path: Path
) -> None:
    out, base = tmp_path / "scan.yaml", tmp_path / "base.yaml"
    out.write_text("old")
    base.write_text("max_frames: 3\ncascade: {reasoning: {enabled: true}}\n")
    chosen = ("--embedder", "siglip", "--model", encoder, "--config", str(base), "--count", "12")
    done = judge("fit-scan", str(labelled), *SURE, *chosen, "--out", str(out), "--force")
    assert done.code == 0, done.err
    lines = {line.split("│")[1].strip(): line for line in done.out.splitlines() if line.startswith("│")}
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
def test_wrong_use_is_told(judge: Command, labelled: Path, arguments: tuple[str, ...], message: str) -> None:
    done = judge("fit-scan", str(labelled), *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_labels_of_another_constitution_are_no_labels(judge: Command, tmp_path: Path) -> None:
    (tmp_path / "harmful_image_calibration_ann.csv").write_text(
        "imagePath,decision,harmfulType\na.png,yes,violent content\n"
    )
    done = judge("fit-scan", str(tmp_path), "--embedder", "clip", "--model", "x")
    assert done.code == 2
    assert "no label can be used: " in done.err
    assert "the constitution has no rule 'violent content'" in done.err
