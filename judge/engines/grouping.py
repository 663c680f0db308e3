"""Which prompts of a batch are about the same frames, told by pixels and token ids alone.

For a library that expands the frames itself; `encoding.FrameGroup` is for models that we run ourselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from judge.engines.encoding import PromptEncoder
from judge.engines.identity import frame_key
from judge.types import Frame, Prompt


@dataclass(frozen=True, slots=True)
class PromptGroup:
    """Prompts that differ only behind their last frame.

    Attributes:
        head: Token ids up to and including the last frame's placeholder, which stands for the whole picture.
        frames: Equal for all.
        keys: Digests of their pixels.
        rows: Token ids behind the head -> places in the batch of the prompts that have them.
    """

    head: tuple[int, ...]
    frames: tuple[Frame, ...]
    keys: tuple[str, ...]
    rows: dict[tuple[int, ...], list[int]] = field(default_factory=dict)


def group_prompts(encoder: PromptEncoder, prompts: Sequence[Prompt]) -> list[PromptGroup]:
    """In the order of each group's first prompt; equal prompts share one entry of `rows`.

    Raises:
        EngineError: See `PromptEncoder.split_ids`.
    """
    groups: dict[tuple[tuple[int, ...], tuple[str, ...]], PromptGroup] = {}
    digests: dict[int, str] = {}
    for row, prompt in enumerate(prompts):
        head, tail = encoder.split_ids(prompt)
        keys = tuple(frame_key(frame, digests) for frame in prompt.frames)
        group = groups.setdefault((head, keys), PromptGroup(head, prompt.frames, keys))
        group.rows.setdefault(tail, []).append(row)
    return list(groups.values())
