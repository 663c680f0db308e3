"""Stable Diffusion's filter: its margins as published, from a file in the published layout."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from transformers import CLIPModel

from judge.bench.detectors.base import DetectorSettings
from judge.bench.detectors.sd_safety_checker import SdSafetyChecker, _score, largest_margin
from judge.errors import ConfigError
from tests.bench.detectors.pictures import animation, picture, text
from tests.bench.detectors.plain_clip import unit_vector
from tests.bench.detectors.tiny_checkpoints import tiny_clip, tiny_sd_safety_checker

PICTURES = [picture(seed) for seed in range(12)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> CLIPModel:
    return tiny_clip(tmp_path_factory.mktemp("clip")).eval()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> DetectorSettings:
    return tiny_sd_safety_checker(tmp_path_factory.mktemp("checker"))


@pytest.fixture(scope="module")
def detector(settings: DetectorSettings) -> SdSafetyChecker:
    return SdSafetyChecker.from_settings(settings)


def plain_filter(folder: str, vector: np.ndarray) -> tuple[bool, float]:
    """Whether any concept's margin is above 0, and the largest margin, in steps of a thousandth."""
    held = {name: array.astype(np.float64) for name, array in load_file(Path(folder) / "model.safetensors").items()}

    def cosines(rows: np.ndarray) -> np.ndarray:
        return rows @ vector / np.linalg.norm(rows, axis=1)

    added = 0
    for cosine, limit in zip(cosines(held["special_care_embeds"]), held["special_care_embeds_weights"], strict=True):
        if np.rint((cosine - limit) * 1000) + added > 0:
            added = 10
    margins = np.rint((cosines(held["concept_embeds"]) - held["concept_embeds_weights"]) * 1000) + added
    return bool((margins > 0).any()), float(margins.max()) / 1000


async def test_pictures_are_filtered_as_published(
    detector: SdSafetyChecker, settings: DetectorSettings, clip: CLIPModel
) -> None:
    wanted = [plain_filter(settings.model, unit_vector(clip, media)) for media in PICTURES]
    found = await detector.detect(PICTURES)
    assert [each.flagged for each in found] == [flagged for flagged, _ in wanted]
    assert {flagged for flagged, _ in wanted} == {True, False}
    # One step of rounding may differ by the last digits of a float32.
    scores = [1 / (1 + math.exp(-20 * (margin - 0.0005))) for _, margin in wanted]
    assert [each.score for each in found] == pytest.approx(scores, abs=0.006)
    assert [each.category_scores for each in found] == [{"sexual": each.score} for each in found]
    assert detector.info.categories == {"sexual"}


@pytest.mark.parametrize(
    ("special", "concepts", "margin"),
    [
        ([0.0, 0.0], [0.25, 0.1], -0.05),
        ([0.0, 0.0], [0.3004, 0.1], 0.0),  # rounded away
        ([0.0, 0.0], [0.3006, 0.1], 0.001),
        ([0.21, 0.0], [0.295, 0.1], 0.005),  # special care adds 0.01
        ([0.2004, 0.0], [0.295, 0.1], -0.005),  # and is rounded first
        ([0.21, 0.195], [0.295, 0.1], 0.005),  # once, however many
        ([0.9, 0.9], [0.1, 0.2], -0.09),  # and filters nothing by itself
        ([0.0, 0.0], [math.nan, 0.9], math.nan),
    ],
)
def test_margins_by_hand(special: list[float], concepts: list[float], margin: float) -> None:
    assert largest_margin(special, concepts, [0.2, 0.2], [0.3, 0.3]) == pytest.approx(margin, abs=1e-9, nan_ok=True)


def test_the_score_is_half_exactly_where_the_filter_begins() -> None:
    margins = [step / 1000 for step in range(-1000, 1001)]
    scores = [_score(margin).score for margin in margins]
    assert [score >= 0.5 for score in scores] == [margin > 0 for margin in margins]
    assert scores == sorted(scores)
    assert len(set(scores)) == len(scores)
    assert 0.0 <= scores[0] < scores[-1] <= 1.0


async def test_a_batch_is_its_pictures_one_by_one(settings: DetectorSettings) -> None:
    detector = SdSafetyChecker.from_settings(settings.model_copy(update={"batch": 5}))
    media = [*PICTURES[:3], text(), animation(0, 1), *PICTURES[3:]]
    together = await detector.detect(media)
    alone = [(await detector.detect([each]))[0] for each in media]
    for a, b in zip(together, alone, strict=True):
        assert (a.score, a.failed) == (pytest.approx(b.score, abs=0.006) if b.score is not None else None, b.failed)
    assert together[4].score == pytest.approx(max(together[0].score or 0.0, together[1].score or 0.0), abs=0.006)
    assert await detector.detect([]) == []


async def test_a_file_of_today_s_layout_is_read_as_well(detector: SdSafetyChecker, tmp_path: Path) -> None:
    settings = tiny_sd_safety_checker(tmp_path)
    path = tmp_path / "model.safetensors"
    flat = {name.removeprefix("vision_model.") if name.startswith("vision_model.vision_model.") else name: array
            for name, array in load_file(path).items()}  # fmt: skip
    assert any(name.startswith("vision_model.encoder.") for name in flat)
    save_file(flat, path, metadata={"format": "pt"})
    found = await SdSafetyChecker.from_settings(settings).detect(PICTURES)
    assert [each.score for each in found] == [each.score for each in await detector.detect(PICTURES)]


@pytest.mark.parametrize("lost", ["concept_embeds", "special_care_embeds_weights", "visual_projection.weight"])
def test_a_file_without_its_concepts_is_refused(tmp_path: Path, lost: str) -> None:
    settings = tiny_sd_safety_checker(tmp_path)
    path = tmp_path / "model.safetensors"
    save_file({name: array for name, array in load_file(path).items() if name != lost}, path, {"format": "pt"})
    with pytest.raises(ConfigError, match=f"lacks 1 weights, '{lost}'"):
        SdSafetyChecker.from_settings(settings)


def test_other_shapes_and_plain_clip_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    settings = tiny_sd_safety_checker(tmp_path / "a")
    path = tmp_path / "a" / "model.safetensors"
    save_file({**load_file(path), "concept_embeds": np.ones((16, 24), np.float32)}, path, {"format": "pt"})
    with pytest.raises(ConfigError):
        SdSafetyChecker.from_settings(settings)
    tiny_clip(tmp_path / "b")
    with pytest.raises(ConfigError, match="lacks 4 weights"):
        SdSafetyChecker.from_settings(settings.model_copy(update={"model": str(tmp_path / "b")}))


def test_options_are_checked(settings: DetectorSettings) -> None:
    with pytest.raises(ConfigError, match="has no option 'adjustment'"):
        SdSafetyChecker.from_settings(settings.model_copy(update={"options": {"adjustment": 0.1}}))
    with pytest.raises(ConfigError, match="no such folder"):
        SdSafetyChecker.from_settings(settings.model_copy(update={"model": "/no/such/folder"}))


async def test_an_answer_that_is_no_number_fails_alone(settings: DetectorSettings) -> None:
    detector = SdSafetyChecker.from_settings(settings)
    network = detector._checkpoint.network  # type: ignore[union-attr]
    plain = network.forward

    def broken(**inputs: object) -> object:
        output = plain(**inputs)
        output.image_embeds[0] = float("inf")
        return output

    network.forward = broken
    found = await detector.detect(PICTURES[:2])
    assert [each.failed for each in found] == [True, False]
    assert (found[0].score, found[0].flagged) == (None, None)
