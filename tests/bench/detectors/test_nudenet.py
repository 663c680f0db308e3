"""NudeNet as it is published, really run: the order of channels, profiles, class names, and what is missing."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judge.assets import sample_media_path
from judge.bench.detectors.base import DetectorSettings, Prediction
from judge.bench.detectors.build import build_detector, parse_detector
from judge.bench.detectors.nudenet import NudeNet
from judge.bench.detectors.nudenet_profiles import CLASS_SETS, CLASSES, PROFILES, VERSION_2, read_classes
from judge.errors import ConfigError, EngineError
from judge.types import Media
from tests.bench.detectors.media import FACES, demo, load

nudenet = pytest.importorskip("nudenet")
FACE_LINE = "nudenet,threshold=0.3,classes=[FACE_FEMALE, FACE_MALE]"


@pytest.fixture(scope="module")
def package() -> Any:
    return nudenet.NudeDetector()


@pytest.fixture(scope="module")
def faces() -> NudeNet:
    found = build_detector(parse_detector(FACE_LINE))
    assert isinstance(found, NudeNet)
    return found


def of_faces(found: list[dict[str, Any]]) -> float:
    return max((each["score"] for each in found if each["class"].startswith("FACE")), default=0.0)


async def test_scores_are_those_of_the_same_picture_as_a_file(package: Any, faces: NudeNet) -> None:
    """The package reads files with OpenCV, which puts blue first. An array in our order would be another picture."""
    paths = [sample_media_path("demo") / f"{name}.png" for name in FACES]
    from_files = [of_faces(package.detect(str(path))) for path in paths]
    found = await faces.detect([load(path) for path in paths])
    assert [each.score for each in found] == from_files
    assert min(from_files) > 0.3
    as_they_are = [of_faces(package.detect(load(path).frames[0].image)) for path in paths]
    assert all(abs(a - b) > 0.01 for a, b in zip(as_they_are, from_files, strict=True)), "this test cannot tell"


async def test_the_network_finds_nobody_naked_in_our_pictures() -> None:
    found = await build_detector(parse_detector("nudenet")).detect(demo(*FACES))
    assert [(each.score, each.flagged, dict(each.category_scores)) for each in found] == [
        (0.0, False, {"sexual": 0.0})
    ] * 3


async def test_the_threshold_flags_from_there_on(faces: NudeNet) -> None:
    (one,) = await faces.detect(demo(FACES[0]))
    assert one.score is not None
    for threshold, flagged in ((one.score, True), (np.nextafter(one.score, 1.0), False)):
        detector = build_detector(parse_detector(FACE_LINE).model_copy(update={"threshold": float(threshold)}))
        assert (await detector.detect(demo(FACES[0])))[0].flagged is flagged


async def test_the_highest_frame_of_an_animation_counts(faces: NudeNet) -> None:
    pictures = demo(*FACES, "harmless-1")
    frames = tuple(replace(each.frames[0], index=index) for index, each in enumerate(pictures))
    media = Media("a" * 64, "video", frames, 1.0, "animation.gif")
    (found,) = await faces.detect([media])
    assert found.score == max(each.score or 0.0 for each in await faces.detect(pictures))


async def test_tiny_and_long_pictures_are_answered(faces: NudeNet) -> None:
    for shape in ((1, 1, 3), (1, 4000, 3), (4000, 1, 3)):
        (picture,) = demo("harmless-1")
        media = replace(picture, frames=(replace(picture.frames[0], image=np.full(shape, 255, np.uint8)),))
        (found,) = await faces.detect([media])
        assert found.flagged is False, found


class Scripted:
    def __init__(self, answer: object) -> None:
        self.answer = answer

    def detect(self, image_path: object) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [
        RuntimeError("out of memory"),
        [{"class": "EXPOSED_BREAST_F", "score": 0.9}],
        [{"class": "FACE_FEMALE", "score": float("nan")}],
        [{"class": "FACE_FEMALE", "score": 1.5}],
        [{"class": "FACE_FEMALE"}],
        None,
    ],
)
async def test_what_the_package_cannot_answer_is_a_failure(faces: NudeNet, answer: object) -> None:
    """Names of version 2 as well: read as version 3 they would count for nothing, and everything would be harmless."""
    detector = NudeNet(Scripted(answer), faces.info, classes=CLASS_SETS["5"], max_frames=8)
    (found,) = await detector.detect(demo("harmless-1"))
    assert (found.score, found.flagged, found.failed) == (None, None, True)
    assert found.reason


async def test_closed_it_fails_and_says_so() -> None:
    detector = build_detector(parse_detector("nudenet"))
    await detector.close()
    assert await detector.detect(demo("harmless-1")) == [
        Prediction(None, None, reason="detector 'nudenet' is closed", failed=True)
    ]


def test_our_classes_are_the_packages() -> None:
    """In its order: a network's outputs have no names."""
    source = Path(nudenet.__file__).with_name("nudenet.py").read_text(encoding="utf-8")
    told = source.partition("__labels = [")[2].partition("]")[0]
    assert tuple(line.strip().strip('",') for line in told.strip().splitlines()) == CLASSES
    assert set(VERSION_2.values()) <= set(CLASSES)
    assert all(set(profile.classes) <= set(CLASSES) for profile in PROFILES.values())
    assert {size: len(classes) for size, classes in CLASS_SETS.items()} == {"5": 5, "9": 9}


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("nudenet", "nudenet(v3, 5 classes, 0.5)"),
        ("nudenet,profile=9-0.6", "nudenet(v3, 9 classes, 0.6)"),
        ("nudenet,profile=9-0.6,threshold=0.45", "nudenet(v3, 9 classes, 0.45)"),
        ("nudenet,classes=9", "nudenet(v3, 9 classes, 0.5)"),
        ("nudenet,classes=[EXPOSED_BREAST_F, ANUS_EXPOSED]", "nudenet(v3, FEMALE_BREAST_EXPOSED+ANUS_EXPOSED, 0.5)"),
    ],
)
def test_a_profile_is_said_in_the_name(line: str, name: str) -> None:
    assert build_detector(parse_detector(line)).info.name == name


def test_the_same_class_by_either_version_is_one() -> None:
    assert read_classes("EXPOSED_BREAST_F, FEMALE_BREAST_EXPOSED") == ("FEMALE_BREAST_EXPOSED",)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("nudenet,profile=5-0.55", "has no profile '5-0.55'"),
        ("nudenet,classes=7", "has no class '7'"),
        ("nudenet,classes=[]", "flags nothing"),
        ("nudenet,classes=[FEMALE_BREAST]", "has no class 'FEMALE_BREAST'"),
        ("nudenet,version=v2", "option version"),
        ("nudenet,resolution_px=300", "option resolution_px"),
        ("nudenet,model=/no/such/file.onnx", "there is no file '/no/such/file.onnx'"),
        ("nudenet,device=cuda", "no use for 'device'"),
    ],
)
def test_wrong_settings_are_told(line: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        build_detector(parse_detector(line))
    assert told in str(error.value)


def test_weights_that_are_none_are_told(tmp_path: Path) -> None:
    file = tmp_path / "broken.onnx"
    file.write_bytes(b"these are no weights")
    with pytest.raises(EngineError, match="cannot be loaded"):
        build_detector(DetectorSettings(name="nudenet", model=str(file)))


def test_without_the_package_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nudenet", None)
    with pytest.raises(ConfigError) as error:
        build_detector(parse_detector("nudenet"))
    assert "pip install 'visual-judge[nudenet]'" in str(error.value)
