"""Small parts of the tests of bulk labelling."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from judge.bulk.item import Item, judged_row, unjudged_row
from judge.bulk.row import LabelRow
from judge.errors import MediaError
from judge.media import FileMedia
from judge.sources.sample import Sample
from judge.types import Evidence, RuleDecision, Usage, Verdict, Versions


def verdict(score: float = 0.9) -> Verdict:
    """Of one rule."""
    decision = "unsafe" if score > 0.5 else "safe"
    evidence = Evidence(
        stage="vote", precondition_id="p", statement="s", outcome="satisfied", probability=score, rationale="seen"
    )
    rule = RuleDecision(
        rule_id="violence.threat", category="violence", severity="high",
        outcome="violated" if score > 0.5 else "not_violated", score=score, stage="vote", expression="p",
        evidence=(evidence,),
    )  # fmt: skip
    return Verdict(
        media_id="ab" * 32, media_kind="image", n_frames=1, constitution="test@1", decision=decision,
        flagged=score > 0.5, score=score, category_scores={"violence": score}, rules=(rule,), model="m",
        notices=("a notice",), usage=Usage(prompt_tokens=11, completion_tokens=3, questions=2, generations=1),
        versions=Versions(package="0", model="w", constitution="c", templates="t", thresholds="h"),
    )  # fmt: skip


def item(index: int, name: str | None = None, **fields: object) -> Item:
    name = f"{index}.png" if name is None else name
    sample = Sample(id=name, locator=FileMedia(path=Path(name)), modality="image", harmful=True, labels=("gun",))
    return Item(index, sample, digest=f"{index:064x}", key=f"{index:064x}", **fields)  # type: ignore[arg-type]


def row(index: int, score: float = 0.9) -> LabelRow:
    return judged_row(item(index), verdict(score))


def failed_row(index: int) -> LabelRow:
    return unjudged_row(item(index).failed(MediaError(f"'{index}.png' is empty", hint="fill it")))


def pictures(folder: Path, shades: Sequence[int]) -> Path:
    """Small grey pictures, named by their place."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, shade in enumerate(shades):
        Image.new("RGB", (16, 16), (shade, shade, shade)).save(folder / f"{place:04d}.png")
    return folder
