"""Masks of packed questions reach every kind of attention layer, and kinds that are not known refuse them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from judge.engines.masks import packed_masks
from judge.engines.packing import pack
from judge.engines.transformers import TransformersEngine
from judge.types import Frame, Message, Prompt


def model(**config: object) -> Any:
    text = SimpleNamespace(**config)
    return SimpleNamespace(
        config=SimpleNamespace(get_text_config=lambda: text), dtype=torch.float32, device=torch.device("cpu")
    )


@pytest.mark.parametrize("name", ["gemma3", "llava_sliding"])
async def test_eager_attention_gives_what_sdpa_gives(model_folder: Callable[[str], Path], name: str) -> None:
    frames = [Frame(0, 0.0, np.full((20, 20, 3), shade, dtype=np.uint8)) for shade in (0, 200)]
    prompts = [
        Prompt((Message("user", f"Is there a {thing}?"),), (frame,)) for frame in frames for thing in ("dog", "cat")
    ]
    engine = TransformersEngine(str(model_folder(name)), device="cpu")
    expected = await engine.choose(prompts)
    assert engine._loaded is not None
    network: Any = engine._loaded.model
    assert network.config.get_text_config()._attn_implementation == "sdpa"
    network.set_attn_implementation("eager")
    found = await engine.choose(prompts)
    assert [answer.mass for answer in found] == pytest.approx([answer.mass for answer in expected], abs=1e-5)
    assert found != expected, "the same bits: eager attention did not run"


def test_one_mask_for_each_kind_of_layer() -> None:
    packing = pack([[(5, 6, 7)]])
    mixed = model(layer_types=["sliding_attention", "full_attention"], sliding_window=2, _attn_implementation="sdpa")
    masks = packed_masks(mixed, packing, None)
    assert isinstance(masks, dict)
    assert masks["full_attention"][0, 0].int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert masks["sliding_attention"][0, 0].int().tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    for alike in (model(sliding_window=2), model(layer_types=["sliding_attention"] * 3, sliding_window=2)):
        single = packed_masks(alike, packing, None)
        assert isinstance(single, torch.Tensor)
        assert (single[0, 0] == 0).int().tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"layer_types": ["full_attention", "linear_attention"]}, "linear_attention"),
        ({"layer_types": ["chunked_attention"]}, "chunked_attention"),
        ({"layer_types": ["sliding_attention"], "sliding_window": None}, "unknown size"),
        ({"_attn_implementation": "flash_attention_2"}, "flash_attention_2"),
    ],
)
def test_what_takes_no_mask_of_ours_is_refused(config: dict[str, object], message: str) -> None:
    with pytest.raises(NotImplementedError, match=message):
        packed_masks(model(**config), pack([[(5, 6)]]), None)
