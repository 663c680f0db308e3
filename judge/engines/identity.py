"""When two frames or two prompts are the same: by their content, never by a name that somebody gave them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from judge.types import Frame, Prompt


def frame_key(frame: Frame, digests: dict[int, str]) -> str:
    """sha256 (hex) of the pixels.

    Args:
        frame: The frame.
        digests: Remembers the arrays of one call, which must stay alive meanwhile.
    """
    image = frame.image
    if id(image) not in digests:
        pixels = np.ascontiguousarray(image)
        digests[id(image)] = hashlib.sha256(repr(image.shape).encode() + pixels.tobytes()).hexdigest()
    return digests[id(image)]


def prompt_words(prompt: Prompt) -> Hashable:
    """Everything that is asked, but for the frames and the name of the template."""
    return prompt.messages, prompt.layout


def sample_seeds(prompts: Sequence[Prompt]) -> list[int]:
    """A seed (60 bits) per prompt, from the prompt and from how often it occurred before in this batch.

    So the same batch gives the same texts, and n copies of a prompt give n samples.
    """
    seen: Counter[str] = Counter()
    seeds = []
    for prompt in prompts:
        key = _prompt_key(prompt)
        seeds.append(int(hashlib.sha256(f"{key} {seen[key]}".encode()).hexdigest()[:15], 16))
        seen[key] += 1
    return seeds


def _prompt_key(prompt: Prompt) -> str:
    digest = hashlib.sha256(repr(prompt_words(prompt)).encode())
    for frame in prompt.frames:
        digest.update(repr(frame.image.shape).encode() + frame.image.tobytes())
    return digest.hexdigest()
