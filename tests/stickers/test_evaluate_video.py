"""Figures about videos: the arithmetic by hand, and a judge with a model that knows what every frame shows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from judge.config import JudgeConfig, Thresholds, VideoSettings
from judge.metrics import Measured
from judge.pipeline import Judge
from judge.stages.prior_store import PriorStore
from judge.stickers.command import main
from judge.stickers.command_video import _plain
from judge.stickers.evaluate_clips import clip_accuracy, draw_questions
from judge.stickers.evaluate_video import (
    MEASURES,
    STRATEGIES,
    Watched,
    false_segments,
    overlap,
    rule_iou,
    video_metrics,
    watch,
    without,
)
from judge.stickers.video_files import write_video_split
from judge.stickers.video_splits import ClipTruth, Interval, Plan, VideoItem, draw_video_split
from judge.types import Segment, Usage, Verdict, Versions
from tests.stickers.test_clips import AWAY
from tests.stickers.test_reasoning import KNIFE_AT_DOG
from tests.stickers.video_world import POLICY, TRUTH, Knowing, truth_of

RULE, CLIP_RULE = "violence.weapon_threat", "violence.attack_begins"


def watched(  # noqa: PLR0917  (a row of a table)
    name: str,
    flagged: bool | None,
    true: Mapping[str, tuple[Interval, ...]],
    found: Mapping[str, tuple[Interval, ...]],
    unclear: Mapping[str, tuple[Interval, ...]] | None = None,
    score: float = 0.5,
) -> Watched:
    """A clip of six seconds."""
    item = VideoItem(
        name,
        Plan(calm=AWAY, event=KNIFE_AT_DOG, frames=60, start=10, end=20, seed=0),
        ClipTruth(bool(true), true, unclear or {}),
    )
    shared = {"category": "violence", "peak_ms": 0, "peak_probability": 1.0, "evidence_ms": ()}
    segments = tuple(
        Segment.model_validate({"rule_id": rule, "start_ms": a, "end_ms": b, **shared})
        for rule, each in found.items()
        for a, b in each
    )
    verdict = Verdict(
        media_id="0",
        media_kind="video",
        n_frames=12,
        constitution="stickers-video@1",
        decision={True: "unsafe", False: "safe", None: "uncertain"}[flagged],
        flagged=flagged,
        score=score,
        category_scores={},
        rules=(),
        segments=segments,
        model="none",
        versions=Versions(package="", model="", constitution="", templates="", thresholds=""),
        usage=Usage(prompt_tokens=900, completion_tokens=100, questions=30),
    )
    return Watched(item, verdict, 2.0)


def test_intervals_are_cut_out_of_others() -> None:
    assert without([(0, 1000)], [(200, 300), (900, 1200)]) == [(0, 200), (300, 900)]
    assert without([(0, 1000), (2000, 3000)], [(500, 2500)]) == [(0, 500), (2500, 3000)]
    assert without([(200, 300)], [(100, 400)]) == []
    assert without([(200, 300)], []) == [(200, 300)]


@pytest.mark.parametrize(
    ("found", "unclear", "iou"),
    [
        (((1000, 2000),), (), 1.0),
        (((1500, 2500),), (), 500 / 1500),
        ((), (), 0.0),
        (((800, 2000),), ((800, 1000),), 1.0),
        (((800, 1900),), ((700, 1200),), 700 / 800),
        (((1000, 1400), (1600, 2000), (3000, 3400)), (), 800 / 1400),
    ],
)
def test_overlap_leaves_out_what_is_unclear(
    found: tuple[Interval, ...], unclear: tuple[Interval, ...], iou: float
) -> None:
    row = watched("a", True, {RULE: ((1000, 2000),)}, {RULE: found}, {RULE: unclear})
    assert rule_iou(row, RULE) == pytest.approx(iou)


def test_overlap_counts_every_truly_violated_rule_once() -> None:
    second: tuple[Interval, ...] = ((0, 1000),)
    rows = [
        watched("a", True, {RULE: second, CLIP_RULE: second}, {RULE: second, CLIP_RULE: ((0, 4000),)}),
        watched("b", True, {RULE: second}, {"hate.words": second}),
        watched("c", False, {}, {}),
    ]
    assert overlap(rows, lambda rule: rule == RULE).value == pytest.approx(0.5)
    assert overlap(rows, lambda rule: rule == CLIP_RULE).value == pytest.approx(0.25)
    assert math.isnan(overlap(rows, lambda _: False).value)


def test_false_segments_are_counted_in_calm_clips_alone() -> None:
    rows = [
        watched("a", True, {RULE: ((0, 1000),)}, {RULE: ((3000, 4000), (5000, 5500))}),
        watched("b", True, {}, {RULE: ((0, 1000),), CLIP_RULE: ((0, 1000), (2000, 3000))}),
        watched("c", False, {}, {}),
    ]
    assert false_segments(rows).value == pytest.approx(3 / 0.2)  # twelve calm seconds


def test_an_abstention_is_a_wrong_answer() -> None:
    harm = {RULE: ((0, 1000),)}
    rows = [
        watched("a", True, harm, harm, score=0.9),
        watched("b", None, harm, {}, score=0.6),
        watched("c", False, harm, {}, score=0.4),
        watched("d", True, harm, harm, score=0.8),
        watched("e", False, {}, {}, score=0.1),
        watched("f", None, {}, {}, score=0.5),
    ]
    values = {name: value.value for name, value in video_metrics(rows, frozenset()).items()}
    assert tuple(values) == MEASURES
    assert values["accuracy"] == pytest.approx(3 / 6)
    assert values["balanced_accuracy"] == pytest.approx((2 / 4 + 1 / 2) / 2)
    assert values["f1"] == pytest.approx(2 * 2 / (2 + 4))
    assert values["auroc"] == pytest.approx(7 / 8)
    assert values["coverage"] == pytest.approx(4 / 6)
    assert values["iou"] == pytest.approx(2 / 4)
    assert values["frames_per_second"] == pytest.approx(2.0)
    assert (values["questions_per_clip"], values["tokens_per_clip"], values["seconds_per_clip"]) == (30, 1000, 2.0)


def test_json_has_no_nan() -> None:
    plain = _plain({"iou": Measured(math.nan, math.nan, math.nan), "f1": Measured(0.5, 0.25, 0.75)})
    assert json.loads(json.dumps(plain)) == {"iou": [None, None, None], "f1": [0.5, 0.25, 0.75]}


@pytest.mark.parametrize(
    ("strategy", "iou", "looks"), [("fps(10)", 0.999, (10.0, 10.0)), ("adaptive", 0.85, (0.5, 7.0))]
)
async def test_a_model_that_knows_every_frame_is_right_and_finds_when(
    strategy: str, iou: float, looks: tuple[float, float], tmp_path: Path
) -> None:
    items = list(draw_video_split("test-video", 8, TRUTH, seed=2))
    write_video_split(tmp_path, "test-video", iter(items))
    engine = Knowing()
    config = JudgeConfig(thresholds=Thresholds(preset="none"), video=VideoSettings(sampling=STRATEGIES[strategy]))
    judge = Judge(engine, POLICY, config, priors=PriorStore(None))
    rows: list[Watched] = []
    for item in items:
        engine.scenes = item.plan.clip().frames
        rows += await watch(judge, [(item, tmp_path / "test-video" / f"{item.id}.mp4")])
    values = {name: value.value for name, value in video_metrics(rows, TRUTH.clip_rules).items()}
    assert values["accuracy"] == 1.0
    assert values["iou"] > iou
    assert values["false_segments_per_minute"] == 0.0
    assert looks[0] <= values["frames_per_second"] <= looks[1]


async def test_clip_questions_are_half_true_and_a_model_that_knows_answers_all() -> None:
    (item,) = draw_video_split("test-video", 1, TRUTH)
    scenes = item.plan.clip().frames
    questions = list(draw_questions([item], 40, most=5))
    assert [question.holds for question in questions] == [True, False] * 20
    assert [question.kind for question in questions[::2]] == ["sometime", "always", "begins", "ends"] * 5
    for question in questions:
        shown = question.prompt.frames
        assert 2 <= len(shown) <= 5
        assert question.prompt.layout.frame_labels == tuple(f"Frame {n + 1}:" for n in range(len(shown)))
        assert (truth_of(question.prompt, [scenes[f.index] for f in shown]) == "satisfied") is question.holds
    engine = Knowing()
    engine.scenes = scenes
    found = await clip_accuracy(engine, [item], 40)
    assert {name: value.value for name, value in found.items()} == dict.fromkeys(
        ("clip questions", "sometime", "always", "begins", "ends"), 1.0
    )


async def test_a_model_of_single_pictures_has_no_figure_for_clips() -> None:
    (item,) = draw_video_split("test-video", 1, TRUTH)
    found = await clip_accuracy(Knowing(max_frames=1), [item], 8)
    assert all(math.isnan(value.value) for value in found.values())


@pytest.mark.slow
def test_the_command_compares_every_strategy_and_ends_with_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out" / "video.json"
    assert main(["evaluate-video", "--count", "1", "--questions", "8", "--device", "cpu", "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    last = json.loads(printed.splitlines()[-1])
    assert json.loads(out.read_text()) == last
    assert {name: tuple(values) for name, values in last["strategies"].items()} == dict.fromkeys(STRATEGIES, MEASURES)
    assert all(0 <= values["coverage"][0] <= 1 for values in last["strategies"].values())
    assert "clip questions" in last["clip_questions"]
    assert "(goal 0.7)" in printed


@pytest.mark.parametrize("wrong", [["--count", "0"], ["--questions", "-1"], ["--split", "train"], ["--count", "x"]])
def test_wrong_usage_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["evaluate-video", *wrong])
    assert refused.value.code == 2
    assert wrong[0] in capsys.readouterr().err
