"""The prompts of a debate: the same picture, question and earlier turns for every role, and the role's task at the end.

Each turn's prompt begins with the one before it, so that an engine reads the media and the earlier turns once.
Source of the protocol: VHD11K (arXiv 2409.19734); the words are ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from judge.prompts.quoting import as_words
from judge.prompts.render import render_text, template_digest
from judge.types import Frame, Message, Prompt, PromptLayout

DebateSpeaker = Literal["affirmative", "negative", "judge", "critic"]
_OPPONENTS = {"affirmative": "negative", "negative": "affirmative"}


@dataclass(frozen=True, slots=True)
class Subject:
    """What is argued about.

    Attributes:
        kind: One precondition; one rule; or all rules of a policy.
        statements: The precondition's, the rule's, or every rule's.
        evidence: What is known so far, in words; empty if nothing is.
        categories: What the judge may name behind a Yes, for `rule` and `policy`.
        clip: The frames are a video's, in order.
    """

    kind: Literal["precondition", "rule", "policy"]
    statements: tuple[str, ...]
    evidence: str = ""
    categories: tuple[str, ...] = ()
    clip: bool = False


@dataclass(frozen=True, slots=True)
class JudgedExample:
    """Media that was judged before: its frames, and the answer as the judge would give it (`Yes, weapons.`)."""

    frames: tuple[Frame, ...]
    answer: str


def debate_prompt(
    subject: Subject,
    speaker: DebateSpeaker,
    turns: Sequence[tuple[DebateSpeaker, str]],
    frames: Sequence[Frame],
    examples: Sequence[JudgedExample] = (),
) -> Prompt:
    """What one role is asked.

    Args:
        subject: What is argued about.
        speaker: Whose turn it is.
        turns: Who said what so far; the texts are words and nothing else (`as_words`), on one line each.
        frames: The media in question; several are numbered.
        examples: Shown before it.
    """
    text = render_text(
        "debate",
        kind=subject.kind,
        statements=subject.statements,
        evidence=subject.evidence,
        categories=subject.categories,
        clip=subject.clip,
        n_examples=len(examples),
        answers=tuple(_one_line(example.answer) for example in examples),
        turns=tuple((who.capitalize(), _one_line(said)) for who, said in turns),
        speaker=speaker,
        opponent=_OPPONENTS.get(speaker, ""),
        opponent_spoke=any(who == _OPPONENTS.get(speaker) for who, _ in turns),
    )
    shown = tuple(frame for example in examples for frame in example.frames)
    return Prompt(
        messages=(Message("user", text),),
        frames=(*shown, *frames),
        template_digest=template_digest("debate"),
        layout=PromptLayout(frame_labels=frame_labels(len(frames), [len(example.frames) for example in examples])),
    )


def frame_labels(n_frames: int, example_frames: Sequence[int] = ()) -> tuple[str, ...]:
    """What stands before each frame; empty for a single frame without examples, which needs no name."""
    labels = [
        f"Example {number}:" if count == 1 else f"Example {number}, frame {frame}:"
        for number, count in enumerate(example_frames, start=1)
        for frame in range(1, count + 1)
    ]
    if n_frames > 1:
        labels += [f"Frame {frame}:" for frame in range(1, n_frames + 1)]
    elif n_frames and labels:
        labels.append("The picture in question:")
    return tuple(labels)


def _one_line(text: str) -> str:
    """A line of its own for every turn: a text with line breaks could put words into another speaker's mouth."""
    return " ".join(as_words(text).split())
