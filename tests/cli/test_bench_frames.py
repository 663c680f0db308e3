"""`judge bench` on clips of which is known when they are harmful: measured frame by frame, resumed, and told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from judge.assets import sample_media_path
from judge.bench.predictions import PREDICTIONS, read_predictions
from judge.bench.results import BenchResult, DetectorResult, FrameResult
from tests.cli.running import judge

pytest.importorskip("judge.bench.detectors.build")

FAST, DIRECT, NUDENET = "ours-fast,label=fast", "ours-policy-direct,label=direct", "nudenet,label=nude"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The sample clips, to be changed."""
    return Path(shutil.copytree(sample_media_path("clips"), tmp_path / "set"))


def arguments(root: Path, *more: str, limit: int = 4) -> list[str]:
    place = ["--dataset", "stickers-videos", "--root", str(root), "--split", "demo-video"]
    how = ["--out", str(root.parent / "out"), "--rounds", "20", "--limit", str(limit), "--no-thumbnails"]
    return ["bench", *place, *how, *more]


def found(text: str) -> dict[str, DetectorResult]:
    return {each.label: each for each in BenchResult.model_validate_json(text).detectors}


def frames(text: str, label: str = "fast") -> FrameResult:
    said = found(text)[label].frames
    assert said is not None
    return said


def test_clips_are_measured_frame_by_frame_and_stay_so_when_resumed(root: Path) -> None:
    out = root.parent / "out"
    done = judge(*arguments(root, "--detector", FAST, "--json", limit=2))
    assert done.returncode == 0, done.stderr
    first = (out / PREDICTIONS).read_bytes()
    assert all(row.moments and row.video is not None for row in read_predictions(out))
    truth = [json.loads(line) for line in (root / "clips_demo-video.jsonl").read_text().splitlines()]
    assert frames(done.stdout).answered.frames == sum(clip["duration_ms"] // 100 for clip in truth[:2])

    done = judge(*arguments(root, "--detector", FAST, "--detector", DIRECT, "--json"))
    assert done.returncode == 0, done.stderr
    assert (out / PREDICTIONS).read_bytes().startswith(first)
    for label in ("fast", "direct"):
        said = frames(done.stdout, label)
        assert (said.answered.videos, said.answered.harmful_videos, said.left_out) == (4, 2, 0)
        assert said.answered.frames + said.unclear == sum(clip["duration_ms"] // 100 for clip in truth[:4])
        assert 0 < said.answered.harmful_frames < said.answered.frames / 2
        precision = said.answered.measures["frame_ap"].value
        assert precision is not None
        assert precision > said.answered.harmful_frames / said.answered.frames
        assert said.as_wrong == said.answered
    assert "Frame by frame" in (out / "report.html").read_text()

    again = judge("bench", "--report-only", "--out", str(out), "--rounds", "20", "--no-thumbnails")
    assert "frame by frame" in again.stdout
    assert found((out / "results.json").read_text()) == found(done.stdout)


def test_what_cannot_be_measured_by_frame_is_told(root: Path) -> None:
    lines = [json.loads(line) for line in (root / "clips_demo-video.jsonl").read_text().splitlines()]
    lines[0]["intervals"] = {"a": [[500]]}
    lines[1]["intervals"] = {"a": [[500, 900]]}  # it is harmless
    (root / "clips_demo-video.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines[:4]))
    clip = root / "demo-video" / "demo-video-00003.mp4"
    clip.write_bytes(clip.read_bytes()[:500])
    done = judge(*arguments(root, "--detector", FAST, limit=5))
    assert done.returncode == 3
    said = frames((root.parent / "out" / "results.json").read_text())
    assert (said.answered.videos, said.left_out, sum(said.reasons.values())) == (1, 4, 4)
    assert "its harmful moments cannot be read: scene.intervals: '[500]' is no pair of start and end" in said.reasons
    assert {"it is harmless, and has harmful moments", "it is harmful, and nothing says when"} < set(said.reasons)
    assert "4 left out" in done.stdout
    assert "fast: 1 left out frame by frame: it is harmless, and has harmful moments" in done.stdout


def test_predictions_of_an_earlier_version_are_resumed_and_have_no_frames(root: Path) -> None:
    out = root.parent / "out"
    assert judge(*arguments(root, "--detector", FAST, limit=2)).returncode == 0
    lines = [json.loads(line) for line in (out / PREDICTIONS).read_text().splitlines()]
    for line in lines:
        del line["moments"], line["video"]
    (out / PREDICTIONS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = judge(*arguments(root, "--detector", FAST, "--json", limit=3))
    assert done.returncode == 0, done.stderr
    said = frames(done.stdout)
    assert (said.answered.videos, said.left_out) == (1, 2)
    assert said.reasons == {"its frames are not known: it is no video, or was asked about before frames were kept": 2}


def test_a_detector_of_pictures_has_no_number_by_frame(root: Path) -> None:
    pytest.importorskip("nudenet")
    done = judge(*arguments(root, "--detector", NUDENET, "--all-categories", "--json", limit=2))
    assert done.returncode == 0, done.stderr
    said = frames(done.stdout, "nude")
    assert said.answered.measures["frame_ap"].value is None
    assert said.silent == {"it takes no video": 2}
