"""The examples of a policy's rules, as a debate shows them to its judge."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from judge.cli.examples import locate
from judge.config import DebateSettings
from judge.constitution import Constitution, Example, Rule
from judge.media import FailedInput, Permissions
from judge.media.load import load_frames
from judge.prompts.debate import JudgedExample
from judge.types import Media


def judged_examples(
    constitution: Constitution, folder: Path, settings: DebateSettings, clip_frames: int
) -> Mapping[str, tuple[JudgedExample, ...]]:
    """By rule id; nothing is read unless rules are debated by somebody who sees examples.

    Args:
        constitution: Whose examples.
        folder: Where their media lie.
        settings: At most `max_examples` of each rule are read.
        clip_frames: Of a video.

    Raises:
        MediaError: An example cannot be read; it names the media.
    """
    if not settings.enabled or settings.subject != "rule" or settings.examples_for == "nobody":
        return {}
    return {
        rule.id: tuple(_judged(rule, each, folder, clip_frames) for each in rule.examples[: settings.max_examples])
        for rule in constitution.rules
        if rule.examples
    }


def read_media(media: str, folder: Path, clip_frames: int) -> Media:
    """The media of an example, as `locate` finds it.

    Raises:
        MediaError: It cannot be read; the message names it.
    """
    found = locate(media, folder)
    if isinstance(found, FailedInput):
        raise found.error
    return load_frames(found.ref, Permissions(files=True), clip_frames)


def _judged(rule: Rule, example: Example, folder: Path, clip_frames: int) -> JudgedExample:
    answer = f"Yes, {rule.category}." if example.violates else f"No, {example.note or 'nothing of the kind'}."
    return JudgedExample(read_media(example.media, folder, clip_frames).frames, answer)
