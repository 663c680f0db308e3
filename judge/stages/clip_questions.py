"""Questions about a piece of video as a whole: several frames in one prompt, in order, numbered.

For rules that apply to videos only: their harm lies in the action or the transition, which no single frame shows.
Nothing is taken off these readings: a picture's text-only reading is about another question.
Source of five frames a prompt: VHD11K (arXiv 2409.19734).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from judge.config import ClipSettings, Thresholds
from judge.engines.base import Engine
from judge.media.image import sample_evenly
from judge.prompts.render import clip_prompt
from judge.stages.questions import Question, choose, to_evidence
from judge.types import Evidence, Frame, Usage, VideoInfo


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of video: positions of its frames in the video, and when it begins and ends."""

    indices: tuple[int, ...]
    start_s: float
    end_s: float


def windows(info: VideoInfo, settings: ClipSettings, frames: int) -> tuple[Window, ...]:
    """Pieces that cover the video; neighbours share the frame between them, so that no transition is lost.

    Each is `window_s` long, or longer where the video would otherwise need more than `max_windows` of them.

    Args:
        info: The video.
        settings: Length and number of the pieces.
        frames: Most frames of a piece.
    """
    last_s = info.timestamps_s[-1]
    count = min(settings.max_windows, max(1, math.ceil(last_s / settings.window_s)))
    found: list[Window] = []
    for number in range(count):
        start_s, end_s = last_s * number / count, last_s * (number + 1) / count
        inside = [i for i, at_s in enumerate(info.timestamps_s) if start_s <= at_s <= end_s]
        if len(inside) > 1:
            found.append(Window(tuple(inside[place] for place in sample_evenly(len(inside), frames)), start_s, end_s))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class ClipAnswers:
    """Evidence for every statement, by precondition id, and what it cost."""

    evidence: Mapping[str, Evidence]
    usage: Usage


async def ask_about_clips(
    engine: Engine, clips: Sequence[Sequence[Frame]], statements: Mapping[str, str], thresholds: Thresholds
) -> list[ClipAnswers]:
    """All questions about all clips in one call; one entry per clip, in order.

    Raises:
        EngineError: The engine could not answer, or takes fewer frames.
    """
    plain = thresholds.model_copy(update={"preset": "none"})
    asked = [
        [Question("clip", id, text, clip_prompt(text, tuple(clip))) for id, text in statements.items()]
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
