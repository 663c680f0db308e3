"""Measures how well a model answers questions about several numbered frames, by kind of question.

Half of the questions of each kind are true, of two to six frames of a clip; frames are as drawn, without compression.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import numpy as np

from judge.engines.base import Engine
from judge.metrics import Measured, balanced_accuracy, bootstrap
from judge.prompts.render import clip_prompt
from judge.stickers.clips import CLIP_FRAMES, CLIP_KINDS, RATE_HZ, ClipKind, ClipStatement, clip_sentence, clip_truth
from judge.stickers.corpus import Asker
from judge.stickers.render import render
from judge.stickers.scene import Scene
from judge.stickers.statements import Compound
from judge.stickers.video_splits import VideoItem
from judge.types import Frame, Prompt

_TRIES = 40
_BATCH = 32


@dataclass(frozen=True, slots=True)
class ClipQuestion:
    """One question: its kind, its truth, and the prompt."""

    kind: ClipKind
    holds: bool
    prompt: Prompt


async def clip_accuracy(
    engine: Engine, items: Sequence[VideoItem], count: int, *, seed: int = 0
) -> dict[str, Measured]:
    """Balanced accuracy of `count` questions about these clips: of all (`clip questions`), and by kind.

    Raises:
        EngineError: The engine could not answer.
    """
    most = min(CLIP_FRAMES[1], engine.capabilities.max_frames)
    rows: list[tuple[ClipKind, bool, bool]] = []
    if most >= CLIP_FRAMES[0]:
        drawn = draw_questions(items, count, most=most, seed=seed)
        while part := list(islice(drawn, _BATCH)):
            answers = await engine.choose([question.prompt for question in part])
            said = [answer.probabilities["Yes"] >= 0.5 for answer in answers]
            rows += [(question.kind, question.holds, yes) for question, yes in zip(part, said, strict=True)]
    wanted: dict[str, tuple[ClipKind, ...]] = {"clip questions": CLIP_KINDS, **{kind: (kind,) for kind in CLIP_KINDS}}
    return {name: _accuracy([row for row in rows if row[0] in kinds]) for name, kinds in wanted.items()}


def _accuracy(rows: Sequence[tuple[ClipKind, bool, bool]]) -> Measured:
    """Nan where nothing was asked."""
    columns = (np.array([row[place] for row in rows], dtype=np.bool_) for place in (1, 2))
    return bootstrap(balanced_accuracy, *columns)


def draw_questions(items: Sequence[VideoItem], count: int, *, most: int, seed: int = 0) -> Iterator[ClipQuestion]:
    """`count` questions, kinds and answers in turns; clips that cannot give the question in turn are passed over.

    Args:
        items: Clips to ask about, again and again.
        count: How many questions.
        most: Most frames of one.
        seed: Of frames and statements.
    """
    rng = np.random.default_rng(seed)
    clips = cycle([item.plan.clip().frames for item in items])
    turns = [(kind, holds) for kind in CLIP_KINDS for holds in (True, False)]
    for kind, holds in islice(cycle(turns), count):
        yield next(question for clip in clips if (question := _draw(clip, kind, holds=holds, most=most, rng=rng)))


def _draw(
    clip: Sequence[Scene], kind: ClipKind, *, holds: bool, most: int, rng: np.random.Generator
) -> ClipQuestion | None:
    """None if no decided statement with this answer was found."""
    for _ in range(_TRIES):
        size = int(rng.integers(CLIP_FRAMES[0], most + 1))
        places = sorted(int(place) for place in rng.choice(len(clip), size=size, replace=False))
        scenes = [clip[place] for place in places]
        atom, sentence, _ = Asker(scenes[int(rng.integers(size))], rng).statement(wished_share=0.8)
        if isinstance(atom, Compound):
            continue
        statement = ClipStatement(kind, atom)
        if clip_truth(statement, scenes) == ("satisfied" if holds else "rejected"):
            frames = [Frame(place, place / RATE_HZ, render(clip[place])) for place in places]
            return ClipQuestion(kind, holds, clip_prompt(clip_sentence(statement, sentence), frames))
    return None
