"""What tests about sticker videos share: the policy's truth, and a model that knows what every frame shows."""

from __future__ import annotations

from collections.abc import Sequence

from judge.assets import constitution_path
from judge.constitution import load_constitution
from judge.engines.base import Capabilities
from judge.engines.scripted import ScriptedEngine
from judge.stickers.clips import clip_truth, parse_clip
from judge.stickers.scene import Scene
from judge.stickers.splits import PolicyTruth
from judge.stickers.statements import Truth, parse
from judge.types import Outcome, Prompt

POLICY = load_constitution(constitution_path("stickers-video"))
TRUTH = PolicyTruth(POLICY)


class Knowing(ScriptedEngine):
    """Answers from the scene graphs of one clip, by the positions of the frames; without frames it says 0.5."""

    def __init__(self, max_frames: int = 64) -> None:
        super().__init__(default=self._told, capabilities=Capabilities(max_frames=max_frames))
        self.scenes: Sequence[Scene] = ()

    def _told(self, prompt: Prompt) -> float:
        if not prompt.frames:
            return 0.5
        scenes = [self.scenes[frame.index] for frame in prompt.frames]
        return {"satisfied": 0.99, "rejected": 0.01, "undecided": 0.5}[truth_of(prompt, scenes)]


def truth_of(prompt: Prompt, scenes: Sequence[Scene]) -> Outcome:
    """Of the statement that a prompt about a frame or a clip asks about."""
    sentence = prompt.messages[0].text.rpartition("Statement: ")[2]
    clip, atom = parse_clip(sentence), parse(sentence)
    if clip:
        return clip_truth(clip, scenes)
    assert atom
    return Truth(scenes[0]).of(atom)
