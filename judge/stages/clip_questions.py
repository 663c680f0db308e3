"""Questions about a piece of video as a whole: several frames in one prompt, in order, numbered.

For rules that apply to videos only: their harm lies in the action or the transition, which no single frame shows.
Nothing is taken off these readings: a picture's text-only reading is about another question.
Source of five frames a prompt: VHD11K (arXiv 2409.19734).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from judge.config import ClipSettings, Thresholds
from judge.engines.base import Engine
from judge.media.image import sample_evenly
from judge.prompts.posted import with_posted
from judge.prompts.render import clip_prompt
from judge.stages.questions import Question, choose, to_evidence
from judge.types import Evidence, Frame, Usage, VideoInfo


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of video: positions of its frames in the video, and when the first and the last of them are shown."""

    indices: tuple[int, ...]
    start_s: float
    end_s: float


def windows(info: VideoInfo, settings: ClipSettings, frames: int) -> tuple[Window, ...]:
    """Pieces that cover the video; neighbours share a frame, so that nothing happens between two of them.

    Each is about `window_s` long, or longer where the video would otherwise need more than `max_windows` of them, or
    where its frames are further apart. None for a single frame.

    Args:
        info: The video.
        settings: Length and number of the pieces.
        frames: Most frames of a piece.
    """
    times = info.timestamps_s
    count = min(settings.max_windows, max(1, math.ceil(times[-1] / settings.window_s)))
    inner = (bisect_right(times, times[-1] * number / count) - 1 for number in range(1, count))
    ends = sorted({0, *inner, len(times) - 1})
    pieces = [range(first, last + 1) for first, last in pairwise(ends)]
    return tuple(
        Window(tuple(piece[place] for place in sample_evenly(len(piece), frames)), times[piece[0]], times[piece[-1]])
        for piece in pieces
    )


@dataclass(frozen=True, slots=True)
class ClipAnswers:
    """Evidence for every statement, by precondition id, and what it cost."""

    evidence: Mapping[str, Evidence]
    usage: Usage


async def ask_about_clips(
    engine: Engine,
    clips: Sequence[Sequence[Frame]],
    statements: Mapping[str, str],
    thresholds: Thresholds,
    text: str = "",
) -> list[ClipAnswers]:
    """All questions about all clips of a video in one call; one entry per clip, in order.

    `text` was posted with the video.

    Raises:
        EngineError: The engine could not answer, or takes fewer frames.
    """
    plain = thresholds.model_copy(update={"preset": "none"})
    asked = [
        [
            Question("clip", id, statement, with_posted(clip_prompt(statement, tuple(clip)), text))
            for id, statement in statements.items()
        ]
        for clip in clips
    ]
    answers = iter(await choose(engine, [question.prompt for questions in asked for question in questions]))
    found: list[ClipAnswers] = []
    for questions in asked:
        given = [next(answers) for _ in questions]
        evidence = {q.id: to_evidence(q, answer, plain) for q, answer in zip(questions, given, strict=True)}
        usage = Usage(prompt_tokens=sum(answer.prompt_tokens for answer in given), questions=len(given))
        found.append(ClipAnswers(evidence, usage))
    return found
