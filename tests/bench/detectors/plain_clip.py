"""A tiny CLIP model's picture vectors without our code: prepared with Pillow and NumPy, read with transformers."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from transformers import CLIPModel

from judge.types import Media
from tests.bench.detectors.pictures import pixels
from tests.bench.detectors.tiny_checkpoints import SIDE_PX

_MEAN = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
_DEVIATION = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


def unit_vector(clip: CLIPModel, media: Media) -> np.ndarray:
    image = Image.fromarray(pixels(media))
    scale = SIDE_PX / min(image.size)
    wide, high = (int(side * scale) for side in image.size)
    values = np.asarray(image.resize((wide, high), Image.Resampling.BICUBIC), np.float32) / 255
    top, left = (high - SIDE_PX) // 2, (wide - SIDE_PX) // 2
    values = (values[top : top + SIDE_PX, left : left + SIDE_PX] - _MEAN) / _DEVIATION
    with torch.no_grad():
        pooled = clip.vision_model(torch.from_numpy(values.transpose(2, 0, 1)[None].copy())).pooler_output
        vector = clip.visual_projection(pooled)[0].double().numpy()
    return vector / np.linalg.norm(vector)
