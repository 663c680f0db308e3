"""Verdicts with debates, votes and videos, made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from judge.types import (
    Debate,
    Evidence,
    Frame,
    Readings,
    RuleDecision,
    RuleOutcome,
    ScoreRow,
    Segment,
    Timeline,
    Turn,
    Verdict,
    Versions,
)

VERSIONS = Versions(package="0", model="m", constitution="c", templates="t", thresholds="t")
HOSTILE = "<script>alert(1)</script> [red]danger[/red] :smile: \x1b[31mESC\x07\x9b2J \u202eright to left\u2069 end"
"""Markup of a page and of the terminal, control characters of both kinds, an override of the reading direction."""


def turn(speaker: str, number: int = 1, text: str = "", **more: object) -> Turn:
    return Turn.model_validate({"speaker": speaker, "round": number, "text": text} | more)


def vote(*turns: Turn, **more: object) -> Debate:
    fields = {"subject": "A knife is held.", "turns": turns, "outcome": "undecided"}
    return Debate.model_validate(fields | more)


def debate(*turns: Turn, **more: object) -> Debate:
    return vote(*turns, **({"order": "affirmative_first"} | more))


DEBATE = debate(
    turn("affirmative", 1, "A blade is in the left hand."),
    turn("negative", 1, "It is a spoon:\nno edge is seen."),
    turn("judge", 1, probability=0.62, mass=0.98),
    turn("affirmative", 2, "The edge reflects the lamp", cut_off=True),
    turn("negative", 2, refused=True, model="other-vlm"),
    turn("judge", 2, "Yes, weapons.", probability=0.93, mass=0.99),
    turn("critic", 2, "The second turn decided."),
    probability=0.93, outcome="satisfied", answer="Yes, weapons.", completion_tokens=1812, prompt_tokens=20311,
)  # fmt: skip
OTHER_ORDER = debate(
    turn("negative", 1, "A spoon."),
    turn("affirmative", 1, "A blade."),
    turn("judge", 1),
    order="negative_first", outcome="undecided", reason="the judge's answer could not be read", probability=0.31,
)  # fmt: skip
VOTE = vote(
    turn("voter", 1, "The hand holds a knife.", probability=0.91, mass=0.99),
    turn("voter", 2, "Too dark to tell.\nPerhaps a spoon.", probability=0.2, mass=0.97),
    turn("voter", 3, refused=True),
    turn("voter", 4, "Even.", probability=0.5),
    probability=0.55, reason="1 of 2 say Yes, 0.80 is needed", completion_tokens=400, prompt_tokens=4000,
)  # fmt: skip


def evidence(**more: object) -> Evidence:
    fields = {
        "stage": "debate",
        "precondition_id": "knife_held",
        "statement": "A knife is held.",
        "outcome": "satisfied",
        "probability": 0.93,
        "readings": Readings(observed=0.55, mass=0.99, prior=0.2, references={"debated": 0.93}),
    }
    return Evidence.model_validate(fields | more)


def rule(
    id: str = "violence.knife", *items: Evidence, outcome: RuleOutcome = "violated", **more: object
) -> RuleDecision:
    fields = {
        "rule_id": id, "category": "violence", "severity": "high", "outcome": outcome, "score": 0.93,
        "stage": "debate", "expression": "knife_held", "evidence": items,
    }  # fmt: skip
    return RuleDecision.model_validate(fields | more)


def row(*rules: RuleDecision, name: str = "a.png", **more: object) -> ScoreRow:
    fields = {
        "media_id": "m", "constitution": "c@1", "decision": "unsafe", "flagged": True, "score": 0.93,
        "category_scores": {"violence": 0.93}, "rules": rules, "model": "m", "versions": VERSIONS,
    }  # fmt: skip
    verdict = Verdict.model_validate(fields | more)
    return ScoreRow(input=name, decision=verdict.decision, flagged=verdict.flagged, verdict=verdict)


def timeline(id: str, times_ms: Sequence[int], scores: Sequence[float], outcomes: Sequence[RuleOutcome]) -> Timeline:
    smooth = [float(np.mean(scores[max(i - 1, 0) : i + 2])) for i in range(len(scores))]
    return Timeline(
        rule_id=id,
        timestamps_ms=tuple(times_ms),
        scores=tuple(scores),
        smoothed=tuple(smooth),
        outcomes=tuple(outcomes),
    )


def segment(id: str, start_ms: int, end_ms: int, peak_ms: int, **more: object) -> Segment:
    fields = {
        "rule_id": id, "category": "violence", "start_ms": start_ms, "end_ms": end_ms, "peak_ms": peak_ms,
        "peak_probability": 0.97, "evidence_ms": (peak_ms,),
    }  # fmt: skip
    return Segment.model_validate(fields | more)


KNIFE = timeline(
    "violence.knife",
    [0, 1200, 2400, 3400, 4100, 5000, 6200, 8000, 10_000, 12_000],
    [0.02, 0.05, 0.4, 0.9, 0.97, 0.93, 0.5, 0.1, 0.03, 0.02],
    [
        "not_violated",
        "not_violated",
        "abstained",
        "violated",
        "violated",
        "violated",
        "abstained",
        *["not_violated"] * 3,
    ],
)
FIRE = timeline("violence.fire", KNIFE.timestamps_ms, [0.01] * 10, ["not_violated"] * 10)


def video_row(**more: object) -> ScoreRow:
    fields = {
        "media_kind": "video",
        "n_frames": 10,
        "duration_ms": 12_400,
        "segments": (segment("violence.knife", 3200, 5700, 4100),),
        "timelines": (KNIFE, FIRE),
        "rules": (
            rule("violence.knife", evidence(frame_indices=(41,)), frame_index=41),
            rule("violence.fire", outcome="not_violated", score=0.01, stage="token_probability"),
        ),
    }
    return row(**({"name": "clip.mp4"} | fields | more))  # type: ignore[arg-type]


def film(count: int, seconds: float, *, size: tuple[int, int] = (90, 160), noise: bool = False) -> list[Frame]:
    """Frames of `(height, width)`: a ball that crosses the picture, or noise, which compresses worst."""
    height, width = size
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[0:height, 0:width]
    frames = []
    for number in range(count):
        image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        if not noise:
            ball = (rows - height / 2) ** 2 + (columns - width * number / count) ** 2 < (height / 5) ** 2
            image = np.where(ball[..., None], (230, 60, 40), (40, 60 + rows // 2, 90)[0]).astype(np.uint8)
        frames.append(Frame(number, number * seconds / max(count - 1, 1), image))
    return frames
