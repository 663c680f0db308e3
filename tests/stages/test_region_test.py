"""The region test on pictures where a white square is the knife: the scripted model sees how much of it is left."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from judge.config import RegionSettings, Thresholds
from judge.constitution import Precondition
from judge.engines.base import ModelInfo
from judge.engines.scripted import Answer, ScriptedEngine
from judge.errors import EngineError
from judge.stages.escalation import OpenQuestion, Settlement
from judge.stages.localize import DetectorLocalizer, Located, OcclusionLocalizer, Wanted
from judge.stages.region_test import RegionTest, control_regions
from judge.types import Evidence, Frame, Prompt, Readings, Region, Usage

KNIFE = Precondition(id="knife", statement="A knife is visible.", focus=("knife", "hand"))
NOTHING = Precondition(id="ghost", statement="A ghost is visible.")
THRESHOLDS = Thresholds(preset="none", region_accept=1.3863, region_reject=0.2)


def picture(left: int = 48, top: int = 16, side: int = 16) -> Frame:
    """64 x 64, mid gray, with a white square."""
    image = np.full((64, 64, 3), 90, dtype=np.uint8)
    image[top : top + side, left : left + side] = 255
    return Frame(0, 0.0, image)


def white(prompt: Prompt) -> Answer:
    """0.6 with the whole square of 256 pixels, 0.1 without it, in between with a part of it."""
    seen = float((prompt.frames[0].image == 255).all(axis=2).sum()) / 256.0
    return Answer(0.1 + 0.5 * min(1.0, seen))


def question(frame: Frame, precondition: Precondition = KNIFE, observed: float = 0.6) -> OpenQuestion:
    evidence = Evidence(
        stage="token_probability",
        precondition_id=precondition.id,
        statement=precondition.statement,
        outcome="undecided",
        probability=observed,
        readings=Readings(observed=observed, mass=1.0),
        reason="in between",
    )
    return OpenQuestion(frame, precondition, evidence)


def occlusion(engine: ScriptedEngine, **settings: object) -> RegionTest:
    chosen = RegionSettings.model_validate({"localizer": "occlusion", **settings})
    localizer = OcclusionLocalizer(engine, grid=chosen.grid, fill=chosen.fill, min_mass=THRESHOLDS.min_mass)
    return RegionTest(engine, localizer, chosen, THRESHOLDS)


async def test_the_occlusion_localizer_finds_the_cell_that_matters() -> None:
    localizer = OcclusionLocalizer(ScriptedEngine({"knife": white}), grid=4, fill="mean", min_mass=0.5)
    (found,) = await localizer.locate([Wanted(picture(), KNIFE, 0.6)])
    assert found.regions == (Region(left=0.75, top=0.25, right=1.0, bottom=0.5),)
    drops = np.array(found.heat_map)
    assert drops.shape == (4, 4)
    assert drops[1, 3] == pytest.approx(np.log(1.5) + np.log(9), abs=1e-3)
    assert np.abs(np.delete(drops.ravel(), 7)).max() == 0.0
    assert found.usage.questions == 20  # 16 cells and 4 quarters of the best


async def test_the_best_cell_shrinks_to_the_quarter_that_suffices() -> None:
    localizer = OcclusionLocalizer(ScriptedEngine({"knife": white}), grid=2, fill="black", min_mass=0.5)
    (found,) = await localizer.locate([Wanted(picture(), KNIFE, 0.6)])
    assert found.regions == (Region(left=0.75, top=0.25, right=1.0, bottom=0.5),)


async def test_an_object_across_cells_is_covered_by_all_of_them() -> None:
    localizer = OcclusionLocalizer(ScriptedEngine({"knife": white}), grid=4, fill="mean", min_mass=0.5)
    (found,) = await localizer.locate([Wanted(picture(left=40), KNIFE, 0.6)])  # half in one cell, half in the next
    assert {(region.left, region.top) for region in found.regions} == {(0.5, 0.25), (0.75, 0.25)}


async def test_what_falls_without_its_region_is_accepted() -> None:
    frame = picture()
    (settled,) = await occlusion(ScriptedEngine({"knife": white})).settle([question(frame)])
    evidence = settled.evidence
    assert (evidence.stage, evidence.outcome, evidence.reason) == ("region_test", "satisfied", "")
    assert evidence.readings == Readings(observed=0.6, mass=1.0, occluded=0.1, references={"control": 0.6})
    assert evidence.regions == (Region(left=0.75, top=0.25, right=1.0, bottom=0.5),)
    assert settled.usage.questions == 22


async def test_a_yes_that_nothing_in_the_picture_carries_stays_open() -> None:
    (settled,) = await occlusion(ScriptedEngine({"ghost": 0.6})).settle([question(picture(), NOTHING)])
    assert settled.evidence.outcome == "undecided"
    assert settled.evidence.reason == "the logit falls by 0.00 only when the region is removed"


async def test_what_leans_to_no_and_rests_on_nothing_is_rejected() -> None:
    (settled,) = await occlusion(ScriptedEngine({"ghost": 0.4})).settle([question(picture(), NOTHING, 0.4)])
    assert settled.evidence.outcome == "rejected"


async def test_questions_about_one_frame_keep_their_own_regions() -> None:
    frame = picture()
    settled = await occlusion(ScriptedEngine({"knife": white, "ghost": 0.6})).settle(
        [question(frame, NOTHING), question(frame), question(picture(left=0))]
    )
    assert [each.evidence.outcome for each in settled] == ["undecided", "satisfied", "satisfied"]
    assert [each.evidence.regions[0].left for each in settled[1:]] == [0.75, 0.0]


async def test_a_speck_is_asked_about_alone() -> None:
    def speck(prompt: Prompt) -> float:
        share = float((prompt.frames[0].image > 200).mean())
        return 0.95 if share > 0.03 else 0.6 if share > 0 else 0.5

    engine = ScriptedEngine({"knife": speck})
    (settled,) = await occlusion(engine, grid=16).settle([question(picture(left=48, top=16, side=4))])
    assert settled.evidence.readings is not None
    assert settled.evidence.readings.references["crop"] == 0.95
    assert settled.evidence.probability == 0.95


async def test_views_without_an_answer_say_nothing() -> None:
    asked = question(picture())
    (settled,) = await occlusion(ScriptedEngine({"knife": Answer(0.1, mass=0.01)})).settle([asked])
    assert settled.evidence == asked.evidence


async def test_a_question_without_readings_is_left_as_it_is() -> None:
    asked = question(picture())
    unread = OpenQuestion(asked.frame, KNIFE, asked.evidence.model_copy(update={"readings": None}))
    engine = ScriptedEngine({"knife": white})
    found = await occlusion(engine).settle([unread, asked])
    assert found[0] == Settlement(unread.evidence, Usage())
    assert found[1].evidence.outcome == "satisfied"


async def test_a_failing_engine_raises() -> None:
    with pytest.raises(EngineError, match="out of memory"):
        await occlusion(ScriptedEngine({"knife": EngineError("out of memory")})).settle([question(picture())])


class TableDetector:
    """Knows where each named object is."""

    info = ModelInfo("table", "digest-of-table")

    def __init__(self, boxes: dict[str, Region]) -> None:
        self.boxes = boxes
        self.asked: list[Sequence[Sequence[str]]] = []

    async def detect(
        self, frames: Sequence[Frame], names: Sequence[Sequence[str]], *, min_score: float
    ) -> list[tuple[Region, ...]]:
        self.asked.append(names)
        return [
            tuple(self.boxes[name] for name in wanted if name in self.boxes and self.boxes[name].score >= min_score)
            for wanted in names
        ]


async def test_a_detector_looks_for_all_objects_of_a_frame_together() -> None:
    knife = Region(left=0.1, top=0.1, right=0.2, bottom=0.2, label="knife")
    ball = Region(left=0.5, top=0.5, right=0.6, bottom=0.6, label="ball")
    detector = TableDetector({"knife": knife, "ball": ball})
    localizer = DetectorLocalizer(detector, min_score=0.05)
    frame, other = picture(), picture(left=0)
    game = Precondition(id="game", statement="A game is played.", focus=("ball", "referee"))
    found = await localizer.locate([Wanted(frame, KNIFE, 0.6), Wanted(frame, game, 0.6), Wanted(other, NOTHING, 0.6)])
    assert detector.asked == [[["knife", "hand", "ball", "referee"], []]]
    assert found == [Located((knife,), Usage()), Located((ball,), Usage()), Located((), Usage())]
    assert localizer.model_digest == "digest-of-table"


async def test_without_a_region_nothing_is_asked_and_nothing_changes() -> None:
    engine = ScriptedEngine(default=0.5)
    stage = RegionTest(engine, DetectorLocalizer(TableDetector({}), min_score=0.05), RegionSettings(), THRESHOLDS)
    asked = question(picture())
    assert await stage.settle([asked]) == [Settlement(asked.evidence, Usage())]
    assert engine.calls == []
    assert await stage.settle([]) == []


def test_control_boxes_have_the_same_sizes_and_keep_away() -> None:
    regions = (
        Region(left=0.0, top=0.0, right=0.3, bottom=0.2),
        Region(left=0.8, top=0.7, right=1.0, bottom=1.0),
    )
    for seed in range(50):
        found = control_regions(regions, random.Random(seed))
        for box, region in zip(found, regions, strict=True):
            assert box.area == pytest.approx(region.area)
            assert all(box.right <= r.left or box.left >= r.right or box.bottom <= r.top or box.top >= r.bottom
                       for r in regions)  # fmt: skip


def test_a_box_as_large_as_the_frame_has_nowhere_to_go() -> None:
    whole = Region(left=0.0, top=0.0, right=1.0, bottom=1.0)
    assert control_regions((whole,), random.Random(0)) == (whole,)
