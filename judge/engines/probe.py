"""Synthetic prompts with which an engine tests itself when it starts."""

from __future__ import annotations

import numpy as np
import torch

from judge.engines.base import JsonSchema
from judge.types import Frame, Message, Prompt

TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.25, torch.float16: 0.1}
"""Allowed distance of two ways to the same answer in log probability; 0.25 is at most 0.06 in probability."""

PROBE_SCHEMA: JsonSchema = {"const": "a1b2"}
PROBE_TOKENS = 16
"""Enough for its only text, even letter by letter."""


def probe_questions(frames: tuple[Frame, ...]) -> list[Prompt]:
    """Two questions of different length, so that padding is part of the probe."""
    questions = ("Is this statement true: there is a cat. Answer Yes or No.", "Is this statement true: it is. Yes?")
    return [Prompt((Message("user", question),), frames) for question in questions]


def probe_groups() -> list[list[Prompt]]:
    """Two images of one size and of different colors, so that batching over images is part of the probe."""
    dark = np.zeros((96, 96, 3), dtype=np.uint8)
    dark[24:72, 24:72] = (200, 30, 40)
    light = np.kron(np.arange(144).reshape(12, 12) % 5 % 2, np.ones((8, 8))).astype(np.uint8)[..., None] * 120
    return [probe_questions((Frame(0, 0.0, image),)) for image in (dark, 255 - np.repeat(light, 3, axis=2))]
