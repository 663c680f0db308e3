"""Models with M-RoPE (the Qwen-VL family): an image takes fewer positions than tokens, and packed questions know it.

Both ways, also the one that such an engine would not choose; the inputs are made by hand. With their processors these
models run under the contract (tests/contracts).
"""

from __future__ import annotations

import pytest
import torch
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from judge.engines.encoding import FrameGroup
from judge.engines.memory import pass_budget
from judge.engines.shared_prefix import Way, score_groups, score_one

VISION_START, VISION_END, IMAGE = 90, 91, 92
PATCH_VALUES = 3 * 2 * 14 * 14


@pytest.fixture(scope="module")
def model() -> Qwen2_5_VLForConditionalGeneration:
    torch.manual_seed(4)
    config = Qwen2_5_VLConfig(
        text_config={
            "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512,
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 3, 3]},
        },
        vision_config={
            "depth": 2, "hidden_size": 32, "num_heads": 2, "intermediate_size": 48, "out_hidden_size": 64,
            "fullatt_block_indexes": [1], "window_size": 56, "patch_size": 14, "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
        image_token_id=IMAGE, vision_start_token_id=VISION_START, vision_end_token_id=VISION_END,
    )  # fmt: skip
    made = Qwen2_5_VLForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4.0)  # fresh weights are so small that every image looks alike
    return made


def _group(seed: int, height: int, width: int, tails: tuple[tuple[int, ...], ...]) -> FrameGroup:
    """An image of height x width patches."""
    tokens = height * width // 4
    head = (5, VISION_START, *[IMAGE] * tokens)
    pixels = torch.randn(height * width, PATCH_VALUES, generator=torch.Generator().manual_seed(seed))
    images = {"pixel_values": pixels, "image_grid_thw": torch.tensor([[1, height, width]])}
    types = (torch.tensor([[*head, *tails[0]]]) == IMAGE).long()
    return FrameGroup(head, tails, images, {"mm_token_type_ids": types})


def _alone(model: Qwen2_5_VLForConditionalGeneration, group: FrameGroup, tail: tuple[int, ...]) -> list[float]:
    ids = torch.tensor([[*group.head, *tail]])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "mm_token_type_ids": (ids == IMAGE).long()}
    return score_one(model, {**inputs, **group.images}, lambda logits: logits.log_softmax(-1)[:, :8])


@pytest.mark.parametrize("way", ["packed", "expanded"])
@torch.inference_mode()
def test_questions_behind_an_image_read_as_if_asked_alone(model: Qwen2_5_VLForConditionalGeneration, way: Way) -> None:
    tails = ((VISION_END, 7, 8, 9, 11), (VISION_END, 7, 12), (VISION_END, 7, 8, 13, 14, 15, 16), (VISION_END, 17))
    groups = [_group(1, 8, 4, tails), _group(2, 4, 8, tails), _group(3, 12, 8, tails), _group(4, 8, 4, tails[:2])]
    budget = pass_budget(model, memory_mb=64, max_rows=8)
    found = score_groups(model, groups, lambda logits: logits.log_softmax(-1)[:, :8], budget=budget, way=way)
    expected = [[_alone(model, group, tail) for tail in group.tails] for group in groups]
    for rows, alone in zip(found, expected, strict=True):
        torch.testing.assert_close(torch.tensor(rows), torch.tensor(alone), atol=2e-4, rtol=0)
    assert max(abs(a - b) for a, b in zip(expected[0][0], expected[1][0], strict=True)) > 0.01
