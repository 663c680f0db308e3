"""Where in a frame a precondition's answer comes from: what a localizer is asked, and one that needs no other model.

Not here: what removing a region means for the answer (`judge.stages.region_test`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from judge.constitution import Precondition
from judge.engines.base import Engine, ObjectDetector
from judge.media.views import Fill, occluded
from judge.odds import logit
from judge.prompts.render import precondition_prompt
from judge.stages.questions import choose, usable_yes
from judge.types import ChoiceProbabilities, Frame, Region, Usage

_QUARTER_SUFFICES = 0.8
"""Of the best cell's effect: then the quarter stands for the cell."""
_BELONGS = 0.5
"""Of the best cell's effect: from here on a cell is part of the region."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A precondition to locate in a frame; `observed` is P(Yes) for the whole frame."""

    frame: Frame
    precondition: Precondition
    observed: float


@dataclass(frozen=True, slots=True)
class Located:
    """Regions, best first; none if nothing was found. `heat_map` is empty for localizers that have none."""

    regions: tuple[Region, ...]
    usage: Usage
    heat_map: tuple[tuple[float, ...], ...] = ()


class Localizer(Protocol):
    """Finds what a precondition is about. One answer per request, in order; failures raise `EngineError`."""

    @property
    def model_digest(self) -> str:
        """Of a model of its own; empty if it has none."""

    async def locate(self, wanted: Sequence[Wanted]) -> list[Located]: ...


class DetectorLocalizer:
    """Finds the focus objects of a precondition by name; without focus there is nothing to find."""

    def __init__(self, detector: ObjectDetector, *, min_score: float) -> None:
        self._detector = detector
        self._min_score = min_score

    @property
    def model_digest(self) -> str:
        return self._detector.info.digest

    async def locate(self, wanted: Sequence[Wanted]) -> list[Located]:
        """See `Localizer`; all objects of a frame are looked for together."""
        frames = {id(each.frame): each.frame for each in wanted}
        names: dict[int, list[str]] = {key: [] for key in frames}
        for each in wanted:
            names[id(each.frame)] += each.precondition.focus
        found = await self._detector.detect([*frames.values()], [*names.values()], min_score=self._min_score)
        regions = dict(zip(frames, found, strict=True))
        return [
            Located(tuple(r for r in regions[id(each.frame)] if r.label in each.precondition.focus), Usage())
            for each in wanted
        ]


class OcclusionLocalizer:
    """Covers one grid cell after the other and watches the answer: works with every model, without another one.

    The cells that take at least half as much off the log-odds as the best one are the region; the best cell shrinks
    to its best quarter where that takes nearly as much. All questions about a frame share its covered views.
    Source of the idea: occlusion sensitivity (arXiv 1311.2901, section 4.2).
    """

    model_digest = ""

    def __init__(self, engine: Engine, *, grid: int, fill: Fill, min_mass: float) -> None:
        self._engine = engine
        self._grid = grid
        self._fill: Fill = fill
        self._min_mass = min_mass
        self._cells = tuple(_cell(row, column, grid) for row in range(grid) for column in range(grid))

    async def locate(self, wanted: Sequence[Wanted]) -> list[Located]:
        """See `Localizer`; a cell whose answer cannot be read counts as one that changes nothing."""
        coarse = await self._falls([(each, cell) for each in wanted for cell in self._cells])
        size = len(self._cells)
        by_question = [coarse[n * size : (n + 1) * size] for n in range(len(wanted))]
        best = [max(range(size), key=lambda cell: falls[cell][0]) for falls in by_question]
        quarters = [_quarters(self._cells[cell]) for cell in best]
        fine = await self._falls([(each, q) for each, four in zip(wanted, quarters, strict=True) for q in four])
        return [
            self._located(falls, best[n], quarters[n], fine[4 * n : 4 * n + 4]) for n, falls in enumerate(by_question)
        ]

    async def _falls(self, asked: Sequence[tuple[Wanted, Region]]) -> list[tuple[float, int]]:
        """How far each question's log-odds fall when a region is covered, and the tokens that were read for it."""
        views: dict[tuple[int, Region], Frame] = {}
        for each, region in asked:
            key = (id(each.frame), region)
            if key not in views:
                views[key] = occluded(each.frame, (region,), self._fill)
        style = self._engine.info.question_format
        prompts = [
            precondition_prompt(each.precondition.statement, (views[id(each.frame), region],), style)
            for each, region in asked
        ]
        answers = await choose(self._engine, prompts)
        return [
            (self._fall(each.observed, answer), answer.prompt_tokens)
            for (each, _), answer in zip(asked, answers, strict=True)
        ]

    def _fall(self, observed: float, answer: ChoiceProbabilities) -> float:
        covered = usable_yes(answer, self._min_mass)
        return 0.0 if covered is None else logit(observed) - logit(covered)

    def _located(
        self,
        falls: Sequence[tuple[float, int]],
        best: int,
        quarters: Sequence[Region],
        fine: Sequence[tuple[float, int]],
    ) -> Located:
        top = falls[best][0]
        quarter = max(range(4), key=lambda n: fine[n][0])
        first = quarters[quarter] if fine[quarter][0] >= _QUARTER_SUFFICES * top else self._cells[best]
        others = sorted(
            (cell for cell in range(len(falls)) if cell != best and top > 0 and falls[cell][0] >= _BELONGS * top),
            key=lambda cell: -falls[cell][0],
        )
        rows = [falls[start : start + self._grid] for start in range(0, len(falls), self._grid)]
        tokens = sum(n for _, n in (*falls, *fine))
        return Located(
            regions=(first, *(self._cells[cell] for cell in others)),
            usage=Usage(prompt_tokens=tokens, questions=len(falls) + len(fine)),
            heat_map=tuple(tuple(round(fall, 3) for fall, _ in row) for row in rows),
        )


def _cell(row: int, column: int, grid: int) -> Region:
    return Region(left=column / grid, top=row / grid, right=(column + 1) / grid, bottom=(row + 1) / grid)


def _quarters(region: Region) -> tuple[Region, ...]:
    x, y = (region.left + region.right) / 2, (region.top + region.bottom) / 2
    return tuple(
        Region(left=left, top=top, right=right, bottom=bottom)
        for top, bottom in ((region.top, y), (y, region.bottom))
        for left, right in ((region.left, x), (x, region.right))
    )
