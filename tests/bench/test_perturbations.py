"""Perturbations change the picture, not what it shows; the same picture is always changed the same way."""

from __future__ import annotations

import numpy as np
import pytest

from judge.bench.detectors.base import Prediction
from judge.bench.perturbations import PERTURBATIONS, chosen, combine
from judge.errors import ConfigError
from judge.types import Frame, Media, Usage


def picture(height: int = 60, width: int = 80) -> Media:
    rows, columns = np.mgrid[0:height, 0:width]
    image = np.stack([rows * 4 % 256, columns * 3 % 256, rows * columns * 37 % 256], axis=2).astype(np.uint8)
    return Media("a" * 64, "image", (Frame(0, 0.0, image),), 0.0, "source", text="words")


def test_every_family_of_the_issue_is_there() -> None:
    assert {each.family for each in PERTURBATIONS.values()} == {
        "jpeg", "resize", "crop", "flip", "noise", "blur", "rotation", "greyscale", "overlay", "patch", "collage",
    }  # fmt: skip


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_it_changes_pixels_in_the_same_way_each_time(name: str) -> None:
    plain = picture()
    before = plain.frames[0].image.copy()
    first, second = PERTURBATIONS[name].apply(plain), PERTURBATIONS[name].apply(plain)
    assert (plain.frames[0].image == before).all()
    for one, other in zip(first, second, strict=True):
        image = one.frames[0].image
        assert (image.dtype, image.ndim, image.shape[2], image.flags["C_CONTIGUOUS"]) == (np.uint8, 3, 3, True)
        assert (image == other.frames[0].image).all()
        assert one.id == other.id != plain.id
        assert (one.kind, one.text) == ("image", "words")
        assert image.shape != before.shape or (image != before).any()
    assert len({each.id for each in first}) == len(first)


@pytest.mark.parametrize("name", PERTURBATIONS)
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2, 3)])
def test_tiny_and_thin_pictures_do_not_break_it(name: str, size: tuple[int, int]) -> None:
    for each in PERTURBATIONS[name].apply(picture(*size)):
        assert each.frames[0].image.size > 0


def test_what_each_does() -> None:
    def one(name: str) -> np.ndarray:
        return PERTURBATIONS[name].apply(picture())[0].frames[0].image

    plain = picture().frames[0].image
    assert (one("flip") == plain[:, ::-1]).all()
    assert one("resize").shape == (30, 40, 3)
    assert one("crop").shape == (54, 72, 3)
    assert (one("greyscale")[..., 0] == one("greyscale")[..., 2]).all()
    assert one("collage").shape == (120, 160, 3)
    quarters = [one("collage")[y : y + 60, x : x + 80] for y in (0, 60) for x in (0, 80)]
    assert sum(bool((each == plain).all()) for each in quarters) == 1
    assert abs(float(one("noise").astype(int).mean()) - float(plain.mean())) < 2
    assert (one("overlay-safe")[:54] == plain[:54]).all()
    assert one("overlay-safe")[-6:].max() == 255
    assert one("overlay-safe")[-6:].min() < 128
    assert (one("overlay-answer") != one("overlay-safe")).any()
    worse = np.abs(one("jpeg-10").astype(int) - plain).mean()
    assert worse > np.abs(one("jpeg-50").astype(int) - plain).mean() > 0


def test_patches_are_the_whole_picture() -> None:
    plain = picture(61, 81).frames[0].image
    parts = [each.frames[0].image for each in PERTURBATIONS["patch-split"].apply(picture(61, 81))]
    again = np.vstack([np.hstack(parts[:2]), np.hstack(parts[2:])])
    assert (again == plain).all()
    stitched = PERTURBATIONS["patch-stitched"].apply(picture(61, 81))[0].frames[0].image
    assert (stitched[:30, :40] == plain[:30, :40]).all()
    assert (stitched[-31:, -41:] == plain[-31:, -41:]).all()
    assert (stitched[31] == 255).all()


def test_a_flagged_part_flags_the_whole_and_silence_is_never_harmless() -> None:
    low, high, silent = (
        Prediction(0.2, False),
        Prediction(0.9, True),
        Prediction(None, None, reason="broke", failed=True),
    )
    assert combine([low, high]).flagged is True
    assert combine([low, high]).score == 0.9
    assert combine([high, silent]).flagged is True
    assert (combine([low, silent]).flagged, combine([low, silent]).failed) == (None, True)
    assert combine([low, silent]).score is None
    assert combine([low, low]).flagged is False
    paid = combine([Prediction(0.1, False, cost_usd=0.5, usage=Usage(questions=2), model_s=1.0), low])
    assert (paid.cost_usd, paid.usage.questions, paid.model_s) == (0.5, 2, 1.0)


def test_names_and_families_are_chosen() -> None:
    assert [each.name for each in chosen("overlay, jpeg-10")] == ["overlay-safe", "overlay-answer", "jpeg-10"]
    assert chosen("all") == tuple(PERTURBATIONS.values())
    assert len(chosen("jpeg,jpeg-10")) == 2
    with pytest.raises(ConfigError, match=r"unknown perturbation 'rotate' \(did you mean 'rotation'\?\)"):
        chosen("rotate")
