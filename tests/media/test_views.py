from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.media.views import Fill, blank_frame, crop, noise_frame, noised, occluded
from judge.types import Frame, Region

QUARTER = Region(left=0.0, top=0.0, right=0.5, bottom=0.5)


def picture(height_px: int = 40, width_px: int = 60) -> Frame:
    pixels = np.random.default_rng(3).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    return Frame(4, 1.5, pixels)


@pytest.mark.parametrize("fill", ["mean", "blur", "black"])
def test_regions_are_filled_and_nothing_else_is_touched(fill: Fill) -> None:
    frame = picture()
    before = frame.image.copy()
    both = (QUARTER, Region(left=0.9, top=0.9, right=1.0, bottom=1.0))
    found = occluded(frame, both, fill)
    changed = (found.image != before).any(axis=2)
    inside = np.zeros((40, 60), dtype=bool)
    inside[:20, :30], inside[36:, 54:] = True, True
    assert not changed[~inside].any()
    assert changed[inside].mean() > 0.9
    assert (found.index, found.timestamp_s) == (4, 1.5)
    assert (frame.image == before).all(), "the frame itself stays as it is"


def test_fillings_are_what_they_are_called() -> None:
    frame = picture()
    assert (occluded(frame, [QUARTER], "black").image[:20, :30] == 0).all()
    mean = np.rint(frame.image.reshape(-1, 3).mean(axis=0))
    assert (occluded(frame, [QUARTER], "mean").image[:20, :30] == mean).all()
    blurred = occluded(frame, [QUARTER], "blur").image[:20, :30]
    assert blurred.std() < 0.5 * frame.image[:20, :30].std()


def test_even_the_smallest_region_covers_a_pixel() -> None:
    dot = Region(left=0.999, top=0.0, right=0.9999, bottom=0.0001)
    changed = (occluded(picture(), [dot], "black").image != picture().image).any(axis=2)
    assert changed.sum() == 1
    assert changed[0, 59]


def test_a_crop_shows_the_region_enlarged() -> None:
    image = np.zeros((100, 200, 3), dtype=np.uint8)
    image[40:60, 90:110] = 255
    found = crop(Frame(2, 0.5, image), Region(left=0.45, top=0.4, right=0.55, bottom=0.6))
    assert found.image.shape == (200, 200, 3)  # 30 px with the margins, to the longest side
    assert (found.image > 128).mean() == pytest.approx((20 / 30) ** 2, abs=0.05)
    assert (found.index, found.timestamp_s) == (2, 0.5)


@given(
    edges=st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4, unique=True),
    height_px=st.integers(1, 50),
    width_px=st.integers(1, 50),
)
def test_any_region_of_any_picture_can_be_cropped_and_covered(
    edges: list[float], height_px: int, width_px: int
) -> None:
    left, top = min(edges[:2]), min(edges[2:])
    region = Region(left=left, top=top, right=max(edges[:2]), bottom=max(edges[2:]))
    frame = picture(height_px, width_px)
    assert max(crop(frame, region).image.shape[:2]) == max(height_px, width_px)
    assert occluded(frame, [region]).image.shape == frame.image.shape


def test_references_are_the_same_for_ever() -> None:
    assert (blank_frame().image == 128).all()
    assert (noise_frame().image == noise_frame().image).all()
    assert noise_frame().image.std() == pytest.approx(73.9, abs=1.0)  # of a uniform byte
    frame = picture()
    once, twice = noised(frame), noised(frame)
    assert (once.image == twice.image).all()
    correlation = np.corrcoef(once.image.ravel(), frame.image.ravel())[0, 1]
    assert 0.3 < correlation < 0.8
