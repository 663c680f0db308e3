"""Labelled scores -> thresholds with a guarantee. Pure.

Candidates go from strict to loose; each is tested with an exact binomial bound, and the first that fails ends the test.
Nothing is settled where not even the strictest passes. What makes the bounds exact (docs/decisions/0008): candidates
are placed on other data than they are tested on, every stage is tested on data of its own, a group counts once, and
delta is shared out over all sides of all stages.
Source of the cascade: "Trust or Escalate" (ICLR 2025).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from judge.binomial import fewest_trials, upper_bound
from judge.errors import ConfigError
from judge.metrics import Bools, Floats
from judge.types import Side

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Shares of the media that a side may settle, strict to loose: declared beforehand, and few, so that each can pass."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One labelled piece of media.

    Attributes:
        scores: After each stage, in [0, 1]; None where the stage left it without a score to rely on.
        group: Media of a group are not independent.
    """

    scores: tuple[float | None, ...]
    harmful: bool
    group: str


@dataclass(frozen=True, slots=True)
class Design:
    """What is promised, and how the test is laid out. All of it is chosen before labels are looked at.

    Attributes:
        placing_share: Share of the groups that places the candidates; the rest tests them, in equal parts per stage.
    """

    max_error: float = 0.1
    confidence: float = 0.9
    levels: tuple[float, ...] = LEVELS
    placing_share: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("max_error", "confidence", "placing_share"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise ConfigError(f"{name} {getattr(self, name):g} is not between 0 and 1")
        if not self.levels or list(self.levels) != sorted(set(self.levels)) or not 0 < self.levels[0] <= 1:
            raise ConfigError("levels must ascend, between 0 and 1", hint="e.g. 0.1,0.3,0.5")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A threshold that was tested: `n_wrong` of the `n` media beyond it are labelled otherwise."""

    level: float
    threshold: float
    n: int
    n_wrong: int
    upper_bound: float
    passed: bool


@dataclass(frozen=True, slots=True)
class SideFit:
    """What was tested for one side, in order; `chosen` is the loosest that is in use."""

    tested: tuple[Candidate, ...]
    chosen: Candidate | None


@dataclass(frozen=True, slots=True)
class StageFit:
    """Both sides of a stage. `n_open` media of its part of the data were open before it."""

    n_open: int
    unsafe: SideFit
    safe: SideFit

    def settles(self, score: float) -> Side | None:
        if self.unsafe.chosen is not None and score >= self.unsafe.chosen.threshold:
            return "unsafe"
        return "safe" if self.safe.chosen is not None and score <= self.safe.chosen.threshold else None


def fit_stages(samples: Sequence[Scored], n_stages: int, design: Design) -> tuple[StageFit, ...]:
    """Thresholds of every stage; each stage sees what those before it left open."""
    placing, *testing = _parts(samples, n_stages, design)
    confidence = 1.0 - (1.0 - design.confidence) / (2 * n_stages)
    fits: list[StageFit] = []
    for number, part in enumerate(testing):
        (place, _), test = (_open(each, fits, number) for each in (placing, part))
        unsafe = _fit_side("unsafe", place, test, design, confidence)
        safe = _fit_side("safe", place, test, design, confidence)
        fits.append(_apart(StageFit(len(test[0]), unsafe, safe)))
    return tuple(fits)


def _parts(samples: Sequence[Scored], n_stages: int, design: Design) -> list[list[Scored]]:
    """The part that places, and one per stage: one random member of each group."""
    rng = np.random.default_rng(design.seed)
    groups: dict[str, list[Scored]] = {}
    for sample in samples:
        groups.setdefault(sample.group, []).append(sample)
    members = [group[rng.integers(len(group))] for group in groups.values()]
    shuffled = [members[place] for place in rng.permutation(len(members))]
    n_placing = round(design.placing_share * len(shuffled))
    edges = np.linspace(n_placing, len(shuffled), n_stages + 1).round().astype(int)
    return [shuffled[:n_placing], *(shuffled[a:b] for a, b in pairwise(edges))]


def _open(samples: Sequence[Scored], fits: Sequence[StageFit], number: int) -> tuple[Floats, Bools]:
    """Scores at this stage, and labels, of what it can judge and no stage before it has settled."""
    left = [
        (score, sample.harmful)
        for sample in samples
        if (score := sample.scores[number]) is not None
        and not any(
            earlier is not None and fit.settles(earlier) for fit, earlier in zip(fits, sample.scores, strict=False)
        )
    ]
    scores, harmful = zip(*left, strict=True) if left else ((), ())
    return np.array(scores, dtype=np.float64), np.array(harmful, dtype=np.bool_)


def _fit_side(side: Side, placing: Floats, test: tuple[Floats, Bools], design: Design, confidence: float) -> SideFit:
    scores, harmful = test
    tested: list[Candidate] = []
    for level, threshold in _candidates(side, placing, len(scores), design, confidence):
        beyond = scores >= threshold if side == "unsafe" else scores <= threshold
        n = int(beyond.sum())
        n_wrong = int((beyond & (~harmful if side == "unsafe" else harmful)).sum())
        bound = upper_bound(n_wrong, n, confidence) if n else 1.0
        passed = bound <= design.max_error
        tested.append(Candidate(level, threshold, n, n_wrong, bound, passed))
        if not passed:
            break
    return SideFit(tuple(tested), next((each for each in reversed(tested) if each.passed), None))


def _candidates(
    side: Side, placing: Floats, n_tests: int, design: Design, confidence: float
) -> list[tuple[float, float]]:
    """Levels and their thresholds, strict to loose; without those too strict to pass even if all of them are right."""
    if not len(placing):
        return []
    needed = fewest_trials(1.0 - design.max_error, confidence)
    found: list[tuple[float, float]] = []
    for level in design.levels:
        quantile = np.quantile(placing, 1.0 - level if side == "unsafe" else level, method="inverted_cdf")
        threshold = float(quantile)
        beyond = placing >= threshold if side == "unsafe" else placing <= threshold
        expected = float(beyond.mean()) * n_tests
        fewest = expected - 2 * expected**0.5  # a level with too few media by chance would end the test for all others
        if fewest >= needed and (not found or found[-1][1] != threshold):
            found.append((level, threshold))
    return found


def _apart(fit: StageFit) -> StageFit:
    """Thresholds that cross go back to stricter ones, which have passed before them: the looser side first."""
    unsafe, safe = fit.unsafe, fit.safe
    while unsafe.chosen and safe.chosen and safe.chosen.threshold >= unsafe.chosen.threshold:
        if unsafe.chosen.level >= safe.chosen.level:
            unsafe = _stricter(unsafe)
        else:
            safe = _stricter(safe)
    return StageFit(fit.n_open, unsafe, safe)


def _stricter(side: SideFit) -> SideFit:
    before = [each for each in side.tested if each.passed and each.level < (side.chosen.level if side.chosen else 0)]
    return SideFit(side.tested, before[-1] if before else None)
