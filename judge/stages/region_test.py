"""The region test: the same question with the region of its focus objects removed, and with a random one removed.

What the readings mean is a debias rule (`judge.debias`). A region that is a speck of the frame is also asked about
alone, enlarged. Source: CLUE (arXiv 2501.00192), section 3.4; the random control box is ours.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from judge.config import RegionSettings, Thresholds
from judge.debias import settle
from judge.engines.base import Engine
from judge.media.views import crop, occluded
from judge.prompts.render import precondition_prompt
from judge.stages.escalation import Limits, OpenQuestion, Settlement
from judge.stages.localize import Localizer, Located, Wanted
from judge.stages.questions import choose, usable_yes
from judge.types import ChoiceProbabilities, Evidence, Frame, Region, Usage

_TRIES = 32
"""Random places for a control box, of which the one that overlaps the region least is taken."""


@dataclass(frozen=True, slots=True)
class _Views:
    """A question's other pictures, by the name of their reading."""

    question: OpenQuestion
    located: Located
    frames: dict[str, Frame]


class RegionTest:
    """The stage, bound to an engine and a localizer. See `judge.stages.escalation.SlowStage`."""

    name = "the region test"
    limits = Limits()
    one_at_a_time = False
    takes_clips = False

    def __init__(self, engine: Engine, localizer: Localizer, settings: RegionSettings, thresholds: Thresholds) -> None:
        self._engine = engine
        self._localizer = localizer
        self._settings = settings
        self._thresholds = thresholds

    @property
    def model_digest(self) -> str:
        return self._localizer.model_digest

    @property
    def tests_satisfied(self) -> bool:
        return self._settings.test_satisfied

    async def settle(self, questions: Sequence[OpenQuestion]) -> list[Settlement]:
        """Evidence with `occluded` and `control` (and `crop`) added; unchanged where there was no region to find."""
        # Where words were posted with the picture, an answer may rest on them and need no region.
        readable = [each for each in questions if each.evidence.readings is not None and not each.text]
        wanted = [Wanted(each.frame, each.precondition, _observed(each)) for each in readable]
        located = await self._localizer.locate(wanted) if wanted else []
        views = [self._views(each, found) for each, found in zip(readable, located, strict=True)]
        style = self._engine.info.question_format
        prompts = [
            precondition_prompt(each.question.precondition.statement, (frame,), style)
            for each in views
            for frame in each.frames.values()
        ]
        answers = iter(await choose(self._engine, prompts))
        settled = {id(each.question): self._settle(each, [next(answers) for _ in each.frames]) for each in views}
        return [settled.get(id(each), Settlement(each.evidence, Usage())) for each in questions]

    def _views(self, question: OpenQuestion, located: Located) -> _Views:
        regions, frame = located.regions, question.frame
        if not regions:
            return _Views(question, located, {})
        fill = self._settings.fill
        # The seed is the frame's and the question's own, so that a batch's order changes nothing.
        rng = random.Random(f"{self._settings.seed} {frame.index} {question.precondition.id}")
        frames = {
            "occluded": occluded(frame, regions, fill),
            "control": occluded(frame, control_regions(regions, rng), fill),
        }
        if sum(region.area for region in regions) < self._settings.crop_below:
            frames["crop"] = crop(frame, regions[0])
        return _Views(question, located, frames)

    def _settle(self, views: _Views, answers: Sequence[ChoiceProbabilities]) -> Settlement:
        usage = Usage(prompt_tokens=sum(answer.prompt_tokens for answer in answers), questions=len(answers))
        evidence = views.question.evidence
        least = self._thresholds.min_mass
        found = {name: usable_yes(answer, least) for name, answer in zip(views.frames, answers, strict=True)}
        read = {name: p for name, p in found.items() if p is not None}
        if views.frames and "occluded" in read:
            evidence = self._evidence(views, read)
        return Settlement(evidence, usage + views.located.usage)

    def _evidence(self, views: _Views, read: dict[str, float]) -> Evidence:
        evidence = views.question.evidence
        assert evidence.readings is not None
        others = {**evidence.readings.references, **{name: p for name, p in read.items() if name != "occluded"}}
        readings = evidence.readings.model_copy(update={"occluded": read["occluded"], "references": others})
        settled = settle(readings, self._thresholds, evidence.precondition_id)
        return evidence.model_copy(
            update={
                "stage": "region_test",
                "outcome": settled.outcome,
                "probability": settled.probability,
                "readings": readings,
                "reason": settled.reason,
                "regions": views.located.regions,
                "heat_map": views.located.heat_map,
            }
        )


def control_regions(regions: Sequence[Region], rng: random.Random) -> tuple[Region, ...]:
    """Boxes of the same sizes at random places, away from the regions as far as there is room."""
    return tuple(_control(region, regions, rng) for region in regions)


def _control(region: Region, regions: Sequence[Region], rng: random.Random) -> Region:
    width, height = region.right - region.left, region.bottom - region.top
    places = (
        (rng.uniform(0.0, max(0.0, 1.0 - width)), rng.uniform(0.0, max(0.0, 1.0 - height))) for _ in range(_TRIES)
    )
    boxes = [Region(left=x, top=y, right=min(1.0, x + width), bottom=min(1.0, y + height)) for x, y in places]
    return min(boxes, key=lambda box: sum(_overlap(box, other) for other in regions))


def _overlap(a: Region, b: Region) -> float:
    """Share of the frame that both cover."""
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    return max(0.0, width) * max(0.0, height)


def _observed(question: OpenQuestion) -> float:
    assert question.evidence.readings is not None
    return question.evidence.readings.observed
