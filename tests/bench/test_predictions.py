"""The files of a benchmark run: resumed, cut off, retried, and refused where they are about something else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from judge.bench.detectors.base import Prediction
from judge.bench.predictions import (
    PREDICTIONS,
    RUN,
    PredictionFile,
    read_predictions,
    read_run,
    read_samples,
    write_samples,
)
from judge.bench.records import DetectorRecord, Predicted, RunRecord, to_row
from judge.errors import ConfigError
from judge.media import FileMedia
from judge.sources.sample import NoMedia, Sample
from judge.types import Usage


def run(digest: str = "d1", label: str = "one", **changes: str) -> RunRecord:
    record = DetectorRecord(name="n", digest=digest, modalities=("image",), categories=None, threshold=0.5)
    return RunRecord(source="set (test)", detectors={label: record}).model_copy(update=changes)


def row(sample: str, *, failed: bool = False, score: float | None = 0.25, perturbation: str = "") -> Predicted:
    said = Prediction(None, None, failed=True, reason="broke") if failed else Prediction(score, False)
    return to_row(sample, "one", perturbation, "abc", said)


def test_what_was_written_is_done(tmp_path: Path) -> None:
    with PredictionFile(tmp_path, run()) as file:
        file.append([row("a"), row("a", perturbation="jpeg"), row("b", failed=True)])
    with PredictionFile(tmp_path, run()) as file:
        assert file.done(retry_failed=False) == {("a", "one", ""), ("a", "one", "jpeg"), ("b", "one", "")}
        assert file.done(retry_failed=True) == {("a", "one", ""), ("a", "one", "jpeg")}
        file.append([row("b")])
        assert ("b", "one", "") in file.done(retry_failed=True)
    assert [each.sample for each in read_predictions(tmp_path)] == ["a", "a", "b", "b"]


def test_a_row_survives_the_file_whole(tmp_path: Path) -> None:
    said = Prediction(0.75, True, {"hate": 0.75}, "", usage=Usage(questions=3), model_s=0.5, cost_usd=0.002)
    whole = to_row("naïve/\u2028 \udcff.png".encode("utf-8", "replace").decode(), "one", "", "abc", said)
    with PredictionFile(tmp_path, run()) as file:
        file.append([whole])
    assert list(read_predictions(tmp_path)) == [whole]


@pytest.mark.parametrize("cut", [1, 10, 60])
def test_a_line_that_was_cut_off_is_dropped(tmp_path: Path, cut: int) -> None:
    with PredictionFile(tmp_path, run()) as file:
        file.append([row("a"), row("b")])
    path = tmp_path / PREDICTIONS
    path.write_bytes(path.read_bytes()[:-cut])
    assert [each.sample for each in read_predictions(tmp_path)] == ["a"]
    with PredictionFile(tmp_path, run()) as file:
        file.append([row("c")])
    assert [each.sample for each in read_predictions(tmp_path)] == ["a", "c"]


def test_only_part_of_the_first_line(tmp_path: Path) -> None:
    with PredictionFile(tmp_path, run()):
        pass
    (tmp_path / PREDICTIONS).write_bytes(b'{"sample":"' + b"x" * 200_000)
    with PredictionFile(tmp_path, run()) as file:
        file.append([row("a")])
    assert [each.sample for each in read_predictions(tmp_path)] == ["a"]


def test_a_broken_line_in_the_midst_is_named(tmp_path: Path) -> None:
    with PredictionFile(tmp_path, run()) as file:
        file.append([row("a")])
    with (tmp_path / PREDICTIONS).open("a") as file:
        file.write('{"sample": "b", "detector": "one", "score": 7}\n')
    with pytest.raises(ConfigError, match=r"line 2: score: Input should be less than or equal to 1"):
        list(read_predictions(tmp_path))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (run("d2"), "holds predictions of another 'one': n \\(d1\\), not n \\(d2\\)"),
        (run(split="val"), "another split: '', not 'val'"),
        (run(card_digest="x"), "another card digest: '', not 'x'"),
        (run(source="other"), "another source: 'set \\(test\\)', not 'other'"),
    ],
)
def test_another_run_under_the_same_names_is_refused(tmp_path: Path, other: RunRecord, message: str) -> None:
    with PredictionFile(tmp_path, run()) as file:
        file.append([row("a")])
    with pytest.raises(ConfigError, match=message):
        PredictionFile(tmp_path, other)
    assert read_run(tmp_path) == run()


def test_detectors_are_added_under_other_labels(tmp_path: Path) -> None:
    with PredictionFile(tmp_path, run()):
        pass
    with PredictionFile(tmp_path, run("d2", "two")):
        pass
    found = read_run(tmp_path)
    assert found is not None
    assert {label: each.digest for label, each in found.detectors.items()} == {"one": "d1", "two": "d2"}


def test_one_run_at_a_time(tmp_path: Path) -> None:
    with PredictionFile(tmp_path, run()), pytest.raises(ConfigError, match="in use by another run"):
        PredictionFile(tmp_path, run())
    with PredictionFile(tmp_path, run()):
        pass


def test_folders_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        PredictionFile(tmp_path / "file", run())
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost" / PREDICTIONS).write_text("{}\n")
    with pytest.raises(ConfigError, match=r"holds predictions, but no run\.json"):
        PredictionFile(tmp_path / "lost", run())
    (tmp_path / "lost" / RUN).write_text("[]")
    with pytest.raises(ConfigError, match="is no record of a benchmark run"):
        PredictionFile(tmp_path / "lost", run())
    with pytest.raises(ConfigError, match="cannot be read"):
        read_samples(tmp_path)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Prediction(1.5, True), "its score 1.5 is not between 0 and 1"),
        (Prediction(float("nan"), False), "its score nan is not between 0 and 1"),
        (Prediction(None, None, failed=True), "it gave no answer and no reason"),
        (Prediction(0.1, False, failed=True, reason="out of memory"), "out of memory"),
    ],
)
def test_an_error_is_never_an_answer(said: Prediction, reason: str) -> None:
    found = to_row("a", "one", "", "", said)
    assert (found.score, found.flagged, found.failed, found.reason) == (None, None, True, reason)


def test_samples_are_kept_with_where_they_lie(tmp_path: Path) -> None:
    samples = [Sample(id="a", locator=NoMedia(), modality="image", harmful=True, categories=("hate",), group="g")]
    write_samples(tmp_path, samples)
    assert read_samples(tmp_path) == samples


def test_names_that_are_no_unicode(tmp_path: Path) -> None:
    path = Path(os.fsdecode(b"/set/\xff \xe4.png"))
    strange = Sample(id=path.name, locator=FileMedia(path=path), modality="image", harmful=True, labels=("\\ud800",))
    write_samples(tmp_path, [strange, strange])
    assert read_samples(tmp_path) == [strange, strange]
    with PredictionFile(tmp_path, run()) as file:
        file.append([row(strange.id), row("\\udcff")])
        assert (strange.id, "one", "") in file.done(retry_failed=False)
    assert [each.sample for each in read_predictions(tmp_path)] == [strange.id, "\\udcff"]
