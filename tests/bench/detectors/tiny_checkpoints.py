"""Tiny checkpoints of the same classes as published detectors, with random weights: their answers mean nothing.

`tiny_...(folder)` writes one into an empty folder and returns the settings that name it.
"""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

from judge.bench.detectors.base import DetectorSettings
from tests.contracts.tiny_models import sharpen

SIDE_PX = 32
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE_PX,
    "patch_size": 8,
}


def tiny_falconsai(folder: Path, labels: tuple[str, ...] = ("normal", "nsfw")) -> DetectorSettings:
    torch.manual_seed(11)
    network = ViTForImageClassification(ViTConfig(**VISION, id2label=dict(enumerate(labels))))
    sharpen(network)
    network.save_pretrained(folder)
    ViTImageProcessorPil(size={"height": SIDE_PX, "width": SIDE_PX}).save_pretrained(folder)
    return DetectorSettings(name="falconsai", model=str(folder), device="cpu")
