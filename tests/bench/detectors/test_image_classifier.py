"""A published picture classifier: its probabilities, its labels, and what happens when something is wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import ViTForImageClassification

from judge.bench.detectors.base import DetectorSettings, Prediction
from judge.bench.detectors.build import build_detector, parse_detector
from judge.bench.detectors.image_classifier import Falconsai
from judge.errors import ConfigError
from judge.types import Frame, Media
from tests.bench.detectors.pictures import animation, picture, pixels, text
from tests.bench.detectors.tiny_checkpoints import SIDE_PX, tiny_falconsai

PICTURES = [picture(seed) for seed in range(5)]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> DetectorSettings:
    return tiny_falconsai(tmp_path_factory.mktemp("falconsai"))


@pytest.fixture(scope="module")
def detector(settings: DetectorSettings) -> Falconsai:
    return Falconsai.from_settings(settings)


def plain_probabilities(folder: str, media: Media) -> np.ndarray:
    """Resized with Pillow, normalised and put through a softmax by hand."""
    small = Image.fromarray(pixels(media)).resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR)
    values = (np.asarray(small, dtype=np.float32) / 255 - 0.5) / 0.5
    network = ViTForImageClassification.from_pretrained(folder)
    with torch.no_grad():
        logits = network(torch.from_numpy(values.transpose(2, 0, 1)[None].copy())).logits[0].double().numpy()
    return np.exp(logits) / np.exp(logits).sum()


async def test_scores_are_the_softmax_of_the_harmful_label(detector: Falconsai, settings: DetectorSettings) -> None:
    found = await detector.detect(PICTURES)
    wanted = [plain_probabilities(settings.model, media)[1] for media in PICTURES]
    assert [each.score for each in found] == pytest.approx(wanted, abs=1e-5)
    assert [each.flagged for each in found] == [value >= 0.5 for value in wanted]
    assert np.ptp(wanted) > 0.01  # the pictures differ, or the order would not show
    assert [each.category_scores for each in found] == [{"sexual": each.score} for each in found]


async def test_a_batch_is_its_pictures_one_by_one(settings: DetectorSettings) -> None:
    detector = Falconsai.from_settings(settings.model_copy(update={"batch": 2}))
    together = await detector.detect(PICTURES)
    alone = [(await detector.detect([media]))[0] for media in PICTURES]
    assert [each.score for each in together] == pytest.approx([each.score for each in alone], abs=1e-5)


async def test_nothing_in_nothing_out(detector: Falconsai) -> None:
    assert await detector.detect([]) == []


async def test_the_highest_frame_of_an_animation_counts(detector: Falconsai) -> None:
    (found,) = await detector.detect([animation(0, 1, 2)])
    assert found.score == pytest.approx(max(each.score or 0.0 for each in await detector.detect(PICTURES[:3])))


async def test_only_max_frames_of_an_animation_are_seen(settings: DetectorSettings) -> None:
    detector = Falconsai.from_settings(settings.model_copy(update={"options": {"max_frames": 2}}))
    (found,) = await detector.detect([animation(0, 3, 4, 1)])
    ends = await detector.detect([PICTURES[0], PICTURES[1]])
    assert found.score == pytest.approx(max(each.score or 0.0 for each in ends))


async def test_text_is_abstained_and_spoils_nothing(detector: Falconsai) -> None:
    found = await detector.detect([PICTURES[0], text(), PICTURES[1]])
    assert found[1] == Prediction(None, None, reason="it is text: this detector takes pictures and animations")
    assert [each.score for each in found[::2]] == [each.score for each in await detector.detect(PICTURES[:2])]


async def test_a_video_file_is_abstained(detector: Falconsai) -> None:
    class Source:
        pass

    (found,) = await detector.detect([replace(animation(0, 1), video=Source())])  # type: ignore[arg-type]
    assert (found.score, found.flagged, found.failed) == (None, None, False)
    assert "video" in found.reason


async def test_a_picture_that_is_none_fails_alone(detector: Falconsai) -> None:
    empty = Media("a" * 64, "image", (Frame(0, 0.0, np.zeros((0, 4, 3), np.uint8)),), 0.0)
    gray = Media("b" * 64, "image", (Frame(0, 0.0, np.zeros((4, 4), np.uint8)),), 0.0)
    found = await detector.detect([PICTURES[0], empty, gray, Media("c" * 64, "image", (), 0.0), PICTURES[1]])
    assert [each.failed for each in found] == [False, True, True, True, False]
    assert [each.flagged for each in found[1:4]] == [None] * 3
    assert all(each.reason for each in found[1:4])


async def test_an_answer_that_is_no_number_fails_alone(settings: DetectorSettings) -> None:
    detector = Falconsai.from_settings(settings)
    network = detector._checkpoint.network  # type: ignore[union-attr]
    plain = network.forward

    def broken(**inputs: torch.Tensor) -> object:
        output = plain(**inputs)
        output.logits[1] = float("nan")
        return output

    network.forward = broken
    found = await detector.detect(PICTURES[:3])
    assert [each.failed for each in found] == [False, True, False]
    assert (found[1].score, found[1].flagged) == (None, None)
    assert "no number" in found[1].reason


async def test_a_batch_that_breaks_is_asked_one_by_one(settings: DetectorSettings) -> None:
    detector = Falconsai.from_settings(settings)
    network = detector._checkpoint.network  # type: ignore[union-attr]
    plain = network.forward

    def breaks_in_batches(**inputs: torch.Tensor) -> object:
        if len(inputs["pixel_values"]) > 1:
            raise RuntimeError("out of memory")
        return plain(**inputs)

    before = await detector.detect(PICTURES[:3])
    network.forward = breaks_in_batches
    after = await detector.detect(PICTURES[:3])
    assert [each.score for each in after] == pytest.approx([each.score for each in before], abs=1e-5)


async def test_a_closed_detector_fails(settings: DetectorSettings) -> None:
    detector = Falconsai.from_settings(settings)
    await detector.close()
    await detector.close()
    (found,) = await detector.detect(PICTURES[:1])
    assert (found.failed, found.flagged) == (True, None)
    assert "closed" in found.reason


async def test_labels_may_be_chosen(tmp_path: Path) -> None:
    settings = tiny_falconsai(tmp_path, ("drawings", "hentai", "neutral", "porn", "gore"))
    options = {"harmful": {"hentai": "sexual", "porn": "sexual", "gore": "shocking"}}
    detector = Falconsai.from_settings(settings.model_copy(update={"options": options, "threshold": 0.25}))
    assert detector.info.categories == {"sexual", "shocking"}
    assert detector.info.threshold == 0.25
    for media, found in zip(PICTURES, await detector.detect(PICTURES), strict=True):
        shares = plain_probabilities(str(tmp_path), media)
        assert found.score == pytest.approx(shares[1] + shares[3] + shares[4], abs=1e-5)
        assert found.category_scores["sexual"] == pytest.approx(shares[1] + shares[3], abs=1e-5)
        assert found.category_scores["shocking"] == pytest.approx(shares[4], abs=1e-5)


def test_the_digest_changes_with_weights_and_settings(settings: DetectorSettings, tmp_path: Path) -> None:
    first = Falconsai.from_settings(settings).info.digest
    assert Falconsai.from_settings(settings).info.digest == first
    assert Falconsai.from_settings(settings.model_copy(update={"threshold": 0.6})).info.digest != first
    assert Falconsai.from_settings(settings.model_copy(update={"options": {"max_frames": 3}})).info.digest != first
    other = tiny_falconsai(tmp_path)
    network = ViTForImageClassification.from_pretrained(tmp_path)
    with torch.no_grad():
        network.classifier.bias[0] += 1e-3
    network.save_pretrained(tmp_path)
    assert Falconsai.from_settings(other).info.digest != first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"options": {"harmfull": {"nsfw": "sexual"}}}, "has no option 'harmfull' (did you mean 'harmful'?)"),
        ({"options": {"harmful": {}}}, "option harmful"),
        ({"options": {"harmful": {"nsfw": "naughty"}}}, "option harmful.nsfw"),
        ({"options": {"harmful": {"nfsw": "sexual"}}}, "no label 'nfsw' (did you mean 'nsfw'?)"),
        ({"options": {"harmful": {"nsfw": "sexual", "normal": "other"}}}, "every label counts as harmful"),
        ({"options": {"max_frames": 0}}, "option max_frames"),
        ({"device": "abacus"}, "device 'abacus' does not exist"),
        ({"model": "./no/such/folder"}, "no such folder"),
        ({"base_url": "http://localhost"}, "no use for 'base_url'"),
    ],
)
def test_wrong_settings_name_what_is_wrong(settings: DetectorSettings, change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        Falconsai.from_settings(settings.model_copy(update=change))
    assert message in str(error.value)


def test_a_folder_without_weights_is_refused(settings: DetectorSettings, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((Path(settings.model) / "config.json").read_bytes())
    with pytest.raises(ConfigError):
        Falconsai.from_settings(settings.model_copy(update={"model": str(tmp_path)}))


def test_labels_that_do_not_exclude_each_other_are_refused(tmp_path: Path) -> None:
    settings = tiny_falconsai(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"problem_type": "multi_label_classification"}))
    with pytest.raises(ConfigError, match="exclude each other"):
        Falconsai.from_settings(settings)


async def test_any_checkpoint_can_be_named_in_a_line(tmp_path: Path) -> None:
    tiny_falconsai(tmp_path, ("calm", "blood", "beach"))
    line = f"image-classifier,model={tmp_path},device=cpu,harmful={{blood: shocking}},threshold=0.4"
    detector = build_detector(parse_detector(line))
    assert (detector.info.categories, detector.info.threshold) == ({"shocking"}, 0.4)
    (found,) = await detector.detect(PICTURES[:1])
    assert found.score == pytest.approx(plain_probabilities(str(tmp_path), PICTURES[0])[1], abs=1e-5)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("image-classifier", "option harmful names no label of the model (harmful={LABEL: KIND})"),
        ("image-classifier,harmful={blood: shocking}", "needs a model (model=FOLDER or a Hugging Face id)"),
    ],
)
def test_a_classifier_without_a_model_or_labels_is_refused(line: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        build_detector(parse_detector(line))
    assert message in str(error.value)


async def test_a_flagged_frame_is_enough_and_a_failed_one_is_not_outvoted(settings: DetectorSettings) -> None:
    """As for every other detector of single pictures."""
    thread = picture(1, (1, 30_000)).frames[0]
    media = replace(animation(0, 1), frames=(PICTURES[0].frames[0], thread))
    for threshold, flagged in ((0.0, True), (1.0, None)):
        detector = Falconsai.from_settings(settings.model_copy(update={"threshold": threshold}))
        (found,) = await detector.detect([media])
        assert (found.flagged, found.score is None, found.failed) == (flagged, flagged is None, flagged is None)
