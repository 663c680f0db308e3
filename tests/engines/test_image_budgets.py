"""The image settings of every profile do what its note says, in the Pillow image processor of its family."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import (
    Gemma3ImageProcessorPil,
    GotOcr2ImageProcessorPil,
    Idefics3ImageProcessorPil,
    Qwen2VLImageProcessorPil,
    SmolVLMImageProcessorPil,
)

from judge.profiles import load_profiles

LARGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (2000, 3000, 3), dtype=np.uint8))
QWEN = (
    Qwen2VLImageProcessorPil,
    {"patch_size": 16, "merge_size": 2, "size": {"shortest_edge": 1, "longest_edge": 1 << 24}},
)
GEMMA = (
    Gemma3ImageProcessorPil,
    {
        "size": {"height": 896, "width": 896},
        "do_pan_and_scan": True,
        "pan_and_scan_min_crop_size": 256,
        "pan_and_scan_max_num_crops": 4,
        "pan_and_scan_min_ratio_to_activate": 1.2,
    },
)


def tiles(px: int) -> dict[str, object]:
    return {"size": {"longest_edge": 4 * px}, "max_image_size": {"longest_edge": px}}


# profile -> family and the settings that it comes with; tokens to an entry of the pixel tensor; most tokens allowed
FAMILIES: dict[str, tuple[type, dict[str, object], float, int]] = {
    "smolvlm-256m": (Idefics3ImageProcessorPil, tiles(512), 64, 5 * 64),
    "smolvlm-2.2b": (Idefics3ImageProcessorPil, tiles(384), 81, 10 * 81),
    "smolvlm2-2.2b": (SmolVLMImageProcessorPil, tiles(384), 81, 10 * 81),
    **dict.fromkeys(
        ("qwen3-vl-2b", "qwen3-vl-8b", "qwen3-vl-32b", "singguard-2b", "singguard-8b"), (*QWEN, 1 / 4, 1024)
    ),
    "internvl3.5-8b": (GotOcr2ImageProcessorPil, {"size": {"height": 448, "width": 448}}, 256, 5 * 256),
    **dict.fromkeys(("gemma-3-4b", "shieldgemma-2"), (*GEMMA, 256, 256)),
}


def tokens(family: type, settings: dict[str, object], image: dict[str, object], each: float, folder: Path) -> float:
    family(**settings).save_pretrained(folder)
    found = family.from_pretrained(folder, **image)(images=[[LARGE]], return_tensors="np")
    pixels = found["pixel_values"]
    shape = np.asarray(pixels).shape
    return each * (shape[1] if len(shape) == 5 else shape[0])


def test_every_profile_with_a_budget_is_measured() -> None:
    assert set(FAMILIES) == {name for name, profile in load_profiles().items() if profile.traits.image}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_large_picture_costs_what_the_budget_allows(name: str, tmp_path: Path) -> None:
    family, settings, each, allowed = FAMILIES[name]
    image = dict(load_profiles()[name].traits.image)
    with_budget = tokens(family, settings, image, each, tmp_path / "a")
    without = tokens(family, settings, {}, each, tmp_path / "b")
    assert allowed / 2 < with_budget <= allowed
    assert with_budget != without
