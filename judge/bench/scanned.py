"""Labelled pictures as the relevance scan sees them: how near each rule is to each of their frames."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from judge.bench.rule_labels import RuleLabel
from judge.constitution import Rule
from judge.errors import JudgeError
from judge.media import FileMedia, Permissions
from judge.media.image import sample_evenly
from judge.media.load import load_frames
from judge.stages.relevance import RelevanceScan
from judge.types import Frame

_BATCH = 32
"""Pictures in memory at once."""


@dataclass(frozen=True, slots=True)
class ScannedPicture:
    """A labelled picture.

    Attributes:
        violated: Ids of the rules that it violates.
        frames: Per frame: similarity of the nearest statement, by rule id.
    """

    violated: frozenset[str]
    frames: tuple[Mapping[str, float], ...]


async def scan_pictures(
    scan: RelevanceScan, rules: Sequence[Rule], labels: Sequence[RuleLabel], *, max_frames: int
) -> AsyncIterator[tuple[RuleLabel, ScannedPicture | str]]:
    """Every label, in order, with its scanned picture, or with the reason why there is none.

    Args:
        max_frames: Of an animation, as in `JudgeConfig`.

    Raises:
        EngineError: The encoder failed.
    """
    for start in range(0, len(labels), _BATCH):
        part = labels[start : start + _BATCH]
        loaded = [_frames(label, max_frames) for label in part]
        similarities = iter(
            await scan.similarities([f for found in loaded if not isinstance(found, str) for f in found])
        )
        for label, found in zip(part, loaded, strict=True):
            if isinstance(found, str):
                yield label, found
                continue
            rows = [next(similarities) for _ in found]
            near = [{rule.id: scan.nearest(rule, row) for rule in rules} for row in rows]
            yield label, ScannedPicture(frozenset(label.violated), tuple(near))


def _frames(label: RuleLabel, max_frames: int) -> Sequence[Frame] | str:
    """Those that would be judged, or why there are none."""
    try:
        frames = load_frames(FileMedia(path=label.path), Permissions(files=True), max_frames).frames
    except JudgeError as error:
        return str(error)
    return [frames[index] for index in sample_evenly(len(frames), max_frames)] or "it has no frames"
