"""VHD11K's annotation tables: one for pictures, one for videos, so that what reads that set reads these labels.

`decision` is yes or no, and where there is no such decision what the set itself has then: `none`, or `error`.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from judge.bulk.parts import Parts
from judge.bulk.row import LabelRow
from judge.bulk.run_file import RunRecord
from judge.types import Verdict
from judge.types.debate import Speaker

_ROUNDS = 2
_SIDES: tuple[Speaker, ...] = ("affirmative", "negative")
_ARGUMENTS = [f"{side}Debater_argument_{turn}" for side in _SIDES for turn in range(_ROUNDS)]
_NONE = "none"


def write_annotations(parts: Parts, _: RunRecord, folder: Path) -> None:
    folder.mkdir(parents=True)
    with (
        (folder / "harmful_image_ann.csv").open("w", encoding="utf-8", newline="") as images,
        (folder / "harmful_video_ann.csv").open("w", encoding="utf-8", newline="") as videos,
    ):
        writers = {False: csv.writer(images), True: csv.writer(videos)}
        for is_video, writer in writers.items():
            writer.writerow(["videoPath" if is_video else "imagePath", "decision", "harmfulType", *_ARGUMENTS])
        for row in parts.all_rows():
            writers[row.media_kind == "video"].writerow(_cells(row))


def _cells(row: LabelRow) -> Sequence[str]:
    verdict = row.read_verdict()
    return [row.id, _decision(row), _harmful_type(row), *(_arguments(verdict) if verdict else [_NONE] * 4)]


def _decision(row: LabelRow) -> str:
    if row.failed:
        return "error"
    return {"unsafe": "yes", "safe": "no", "uncertain": _NONE}[row.decision]


def _harmful_type(row: LabelRow) -> str:
    """The rules that are violated; else why there are none, as in the set."""
    if row.decision == "unsafe":
        return "; ".join(row.violated) or "no single rule"
    return "no rule is violated" if row.decision == "safe" else row.reason


def _arguments(verdict: Verdict) -> list[str]:
    """Of the first debate that was held, its first two rounds."""
    debates = (debate for rule in verdict.rules for evidence in rule.evidence for debate in evidence.debates)
    turns = next(([*debate.turns] for debate in debates if any(t.speaker == "affirmative" for t in debate.turns)), [])
    said = {(turn.speaker, turn.round): turn.text for turn in turns}
    return [said.get((side, turn + 1), "") or _NONE for side in _SIDES for turn in range(_ROUNDS)]
