"""Running detectors: everything is asked once, failures are rows, media is decoded once, videos are opened anew."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from judge.assets import sample_media_path
from judge.bench.detectors.base import Detector, Prediction
from judge.bench.evaluate import Options, evaluate
from judge.bench.perturbations import Perturbation, chosen
from judge.bench.predictions import PredictionFile, read_predictions
from judge.bench.records import DetectorRecord, Predicted, RunRecord
from judge.bench.run import Plan, predict, with_labels
from judge.errors import ConfigError, EngineError
from judge.media import FileMedia, Permissions
from judge.sources.open import open_source
from judge.sources.sample import NoMedia, Sample
from judge.types import Media
from tests.bench.detecting import (
    EVERYTHING,
    DirectDetector,
    JudgeDetector,
    PixelDetector,
    put_picture,
    sample,
)


def run(
    folder: Path, samples: Sequence[Sample], detectors: dict[str, Detector], *, retry: bool = False, **plan: object
) -> list[Predicted]:
    records = {label: DetectorRecord.of(each.info) for label, each in detectors.items()}
    asked = Plan(detectors, **plan)  # type: ignore[arg-type]

    async def all_of_it(file: PredictionFile) -> list[int]:
        return [count async for count in predict(samples, asked, file, file.done(retry_failed=retry))]

    with PredictionFile(folder, RunRecord(source="s", detectors=records)) as file:
        counts = asyncio.run(all_of_it(file))
    assert counts[-1:] == [sum(len(asked.keys(each)) for each in samples)]
    assert counts == sorted(counts)
    return list(read_predictions(folder))


@pytest.fixture
def pictures(tmp_path: Path) -> list[Sample]:
    reds = [250, 20, 200, 60, 140]
    return [sample(put_picture(tmp_path / "in" / f"{red}.png", red), red > 127) for red in reds]


def test_every_sample_is_asked_once_and_resumed(tmp_path: Path, pictures: list[Sample]) -> None:
    red, other = PixelDetector(), PixelDetector("other")
    found = run(tmp_path / "out", pictures[:3], {"red": red, "other": other}, batch=2)
    assert [(row.sample, row.detector, row.flagged) for row in found] == [
        ("250.png", "red", True), ("20.png", "red", False), ("250.png", "other", True), ("20.png", "other", False),
        ("200.png", "red", True), ("200.png", "other", True),
    ]  # fmt: skip
    assert all(first is second for first, second in zip(red.seen, other.seen, strict=True))  # decoded once
    assert found[0].media == red.seen[0].id
    red.calls.clear()
    found = run(tmp_path / "out", pictures, {"red": red}, batch=2)
    assert len(found) == 8
    assert red.calls == [2]
    found = run(tmp_path / "out", pictures, {"red": red}, batch=2)
    assert (len(found), red.calls) == (8, [2])


def test_memory_is_bounded_by_what_is_decoded(
    tmp_path: Path, pictures: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("judge.bench.run._PART_BYTES", 24 * 16 * 3 * 2)
    red = PixelDetector()
    run(tmp_path / "out", pictures, {"red": red})
    assert red.calls == [2, 2, 1]


def test_what_cannot_be_read_is_a_failure_of_everybody_with_the_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    empty = tmp_path / "empty.png"
    empty.write_bytes(b"")
    lost = Sample(id="lost", locator=NoMedia(), modality="image", harmful=True, problem="no file 'lost.png'")
    fine = put_picture(tmp_path / "fine.png", 255)
    doubtful = sample(tmp_path / "gone.png", True, problem="its label is in doubt")
    samples = [sample(broken, True), sample(empty, False), lost, sample(fine, True), doubtful]
    found = run(
        tmp_path / "out", samples, {"a": PixelDetector(), "b": PixelDetector("b")}, perturbations=chosen("flip")
    )
    assert len(found) == 5 * 2 * 2
    said = {row.sample: row for row in found}
    assert {row.sample for row in found if row.failed} == {"broken.png", "empty.png", "lost", "gone.png"}
    assert said["lost"].reason == "no file 'lost.png'"
    assert "is empty" in said["empty.png"].reason
    assert "gone.png" in said["gone.png"].reason
    assert said["fine.png"].flagged is True
    put_picture(broken, 10)
    again = run(tmp_path / "out", samples, {"a": PixelDetector()}, retry=True, perturbations=chosen("flip"))
    last = {row.key: row for row in again}
    assert last["broken.png", "a", ""].flagged is False
    assert last["broken.png", "b", ""].failed
    assert len(again) == 20 + 4 * 2


class Breaking(PixelDetector):
    async def detect(self, media: Sequence[Media]) -> list[Prediction]:
        raise self.error

    error: Exception = EngineError("out of memory", hint="a smaller batch")


class Forgetful(PixelDetector):
    async def detect(self, media: Sequence[Media]) -> list[Prediction]:
        return (await super().detect(media))[1:]


def test_a_broken_detector_spoils_nothing_else(tmp_path: Path, pictures: list[Sample]) -> None:
    stranger = Breaking("x")
    stranger.error = KeyError("logits")
    detectors = {"a": Breaking("a"), "b": Forgetful("b"), "c": PixelDetector(), "d": stranger}
    found = run(tmp_path / "out", pictures, detectors)
    reasons = {label: {row.reason for row in found if row.detector == label} for label in detectors}
    assert reasons == {
        "a": {"out of memory (a smaller batch)"},
        "b": {"it gave 4 answers about 5 media"},
        "c": {""},
        "d": {"KeyError: 'logits'"},
    }
    assert [row.failed for row in found if row.detector != "c"] == [True] * 15


def test_media_that_a_detector_does_not_take_is_an_abstention(tmp_path: Path) -> None:
    clip = next(sample_media_path("clips").rglob("*.mp4"))
    video = Sample(id="clip", locator=FileMedia(path=clip), modality="video", harmful=True)
    words = Sample(id="words", locator=NoMedia(), modality="text", harmful=False, text="hello")
    pictures_only, text = (
        PixelDetector(),
        PixelDetector("t", lambda media: len(media.text) / 10, EVERYTHING - {"video"}),
    )
    found = run(tmp_path / "out", [video, words], {"p": pictures_only, "t": text})
    assert [(r.sample, r.detector, r.flagged, r.failed, r.reason) for r in found] == [
        ("clip", "p", None, False, "it takes no video"), ("words", "p", None, False, "it takes no text"),
        ("clip", "t", None, False, "it takes no video"), ("words", "t", True, False, ""),
    ]  # fmt: skip
    assert pictures_only.calls == []


def test_videos_are_opened_for_every_question_and_closed(tmp_path: Path) -> None:
    clip = next(sample_media_path("clips").rglob("*.mp4"))
    video = Sample(id="clip", locator=FileMedia(path=clip), modality="video", harmful=True)
    sources: list[object] = []

    def brightest(media: Media) -> float:
        assert media.video is not None
        sources.append(media.video)
        return float(max(frame.image.mean() for frame in media.video.read([0]))) / 255

    detector = PixelDetector("video", brightest, frozenset({"video"}))
    found = run(tmp_path / "out", [video], {"v": detector}, perturbations=chosen("greyscale,patch-split"))
    assert [row.perturbation for row in found] == ["", "greyscale", "patch-split"]
    assert all(row.flagged is not None for row in found)
    assert len({id(each) for each in sources}) == 6
    plain, grey, split = (row.score or 0 for row in found)
    assert 0 < abs(plain - grey) < 0.2
    assert split >= plain  # the brightest quarter


def test_perturbed_pictures_are_made_once_for_all(tmp_path: Path, pictures: list[Sample]) -> None:
    made: list[int] = []

    def inverted(image: np.ndarray, seed: int) -> np.ndarray:
        made.append(seed)
        return 255 - image

    invert = Perturbation("invert", "invert", "", (inverted,))
    found = run(
        tmp_path / "out", pictures, {"a": PixelDetector(), "b": PixelDetector("b")}, perturbations=(invert,), batch=3
    )
    assert len(made) == len(pictures)
    assert len(set(made)) == len(pictures)
    flips = {(row.sample, row.perturbation): row.flagged for row in found}
    assert all(flips[each.id, ""] is not flips[each.id, "invert"] for each in pictures)


def test_urls_are_not_fetched_unless_allowed(tmp_path: Path) -> None:
    sample = Sample.model_validate(
        {"id": "u", "locator": {"kind": "url", "url": "http://192.0.2.1/a.png"}, "modality": "image", "harmful": True}
    )
    (row,) = run(tmp_path / "out", [sample], {"a": PixelDetector()}, permissions=Permissions(files=True))
    assert row.failed
    assert "URL" in row.reason or "url" in row.reason


def test_labels_are_given_or_the_detectors_own() -> None:
    assert list(with_labels([("", PixelDetector("x")), ("mine", PixelDetector("x"))])) == ["x", "mine"]
    with pytest.raises(ConfigError, match="two detectors are called 'x'"):
        with_labels([("", PixelDetector("x")), ("x", PixelDetector("y"))])


def test_the_embedded_model_on_its_own_pictures(tmp_path: Path) -> None:
    stream = open_source("stickers", root=sample_media_path("test-small"), split="test")
    samples = list(stream)[:8]
    found = run(tmp_path / "out", samples, {"judge": JudgeDetector(), "direct": DirectDetector()})
    truth = {each.id: each.harmful for each in samples}
    right = [row.flagged == truth[row.sample] for row in found if row.detector == "judge"]
    assert sum(right) >= 6
    assert sum(row.usage.questions for row in found if row.detector == "judge") > 8
    assert all(0 <= (row.score or 0) <= 1 for row in found)


def test_false_positives_by_the_stimulus_of_mossbench(tmp_path: Path) -> None:
    kinds = {"1": ("Exaggerated Risk", 200), "2": ("Exaggerated Risk", 30), "3": ("Negated Harm", 20)}
    rows = {}
    for number, (stimulus, red) in kinds.items():
        put_picture(tmp_path / "set" / "images" / f"{number}.png", red)
        rows[number] = {
            "image": f"images/{number}.png", "question": "What is it?",
            "metadata": {"over": stimulus, "human": "0", "child": "0", "syn": "0", "ocr": "0"},
        }  # fmt: skip
    (tmp_path / "set" / "information.json").write_text(json.dumps(rows))
    samples = list(open_source("mossbench", root=tmp_path / "set"))
    said = run(tmp_path / "out", samples, {"red": PixelDetector()})
    record = RunRecord(source="m", card="mossbench", detectors={"red": DetectorRecord.of(PixelDetector().info)})
    (found,) = evaluate(record, samples, said, ["red"], Options(rounds=20)).detectors
    rates = {each.name: each.answered["fpr"].value for each in found.attributes["stimulus"]}
    assert rates == {"Exaggerated Risk": 0.5, "Negated Harm": 0.0}
