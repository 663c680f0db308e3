"""One labelled set, many settings: what each part of the cascade adds, and what it costs.

Whatever is fitted is fitted on the calibration split, without ever looking at the others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from judge.bench.labelled import Labelled, LabelledSet
from judge.bench.memo import MemoEngine
from judge.config import Cascade, JudgeConfig, Preset, RegionSettings, RelevanceSettings, Thresholds
from judge.config.base import Settings
from judge.constitution import Constitution
from judge.corpus import corpus_statistics
from judge.engines.base import Engine
from judge.metrics import Bools, Floats, f1
from judge.odds import NEVER
from judge.pipeline import Judge
from judge.stages.direct import policy_direct, rule_whole
from judge.stages.prior_store import PriorStore
from judge.types import Usage, Verdict

Way = Literal["cascade", "policy_direct", "rule_whole"]
Fit = Literal["bias", "prior_weight", "corpus", "holistic", "region"]
"""What can be fitted on the calibration split: the one-way shift, the weight of the text-only reading, the corpus
statistics, the weight of the whole rule's reading, and the two margins of the region test."""
PLAIN = "plain chain"
"""The setting that what is written by others is measured against."""
_DIRECT = Thresholds(preset="none", accept=0.5, reject=0.5)
_BIASES = tuple(float(b) for b in np.linspace(-3.0, 3.0, 25))
_PRIOR_WEIGHTS = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
_HOLISTIC_WEIGHTS = (0.1, 0.25, 0.5, 0.75)
_REGION_MARGINS = tuple(
    (accept, reject) for accept in (1.3863, 2.1972, 3.0, 4.0, NEVER) for reject in (0.0, 0.1, 0.2, 0.5)
)
"""Falls of the logit that accept, and that an answer must survive to be taken back."""
_WRONG = 2.0
"""A wrong verdict costs as much as two right ones gain; an abstention costs nothing."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the table.

    Attributes:
        way: The cascade, or one of the two baselines without preconditions.
        fit: What is fitted on the calibration split before, in this order.
    """

    name: str
    way: Way = "cascade"
    config: JudgeConfig = field(default_factory=JudgeConfig)
    fit: tuple[Fit, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What one setting said about one labelled picture; `flagged` is None for an abstention."""

    item: Labelled
    score: float
    flagged: bool | None
    usage: Usage
    seconds: float


@dataclass(frozen=True, slots=True)
class Run:
    """One setting on one split."""

    setting: Setting
    split: str
    results: tuple[Result, ...]


def slow_settings(base: JudgeConfig) -> list[Setting]:
    """The second grid, for engines that write: what reasoning, votes and debates add to the plain chain, which comes
    first. The engine itself plays every role of a debate.
    """
    cascade = base.cascade
    reasoning = cascade.reasoning.model_copy(update={"enabled": True})
    vote = cascade.vote.model_copy(update={"enabled": True})
    debate = cascade.debate.model_copy(update={"enabled": True, "panel": {}, "orders": "affirmative_first"})
    both = debate.model_copy(update={"orders": "both"})
    full = _with(base, region=_region(base), reasoning=reasoning, vote=vote, debate=debate)
    return [
        Setting(PLAIN, config=_with(base)),
        Setting("chain + reasoning", config=_with(base, reasoning=reasoning)),
        Setting("chain + vote", config=_with(base, vote=vote)),
        Setting("chain + debate, one order", config=_with(base, debate=debate)),
        Setting("chain + debate, both orders", config=_with(base, debate=both)),
        Setting("chain + vote, then debate", config=_with(base, vote=vote, debate=debate)),
        Setting("full cascade, vote and debate", config=full, fit=("region", "holistic")),
    ]


def settings(base: JudgeConfig, *, reasoning: bool, scans: Mapping[str, RelevanceSettings]) -> list[Setting]:
    """The grid: the baselines, the chain under every preset, and each further stage on top of `base`'s preset.

    Args:
        base: Thresholds, region and reasoning settings to build on.
        reasoning: Whether the engine can reason; adds the rows with chain of thought.
        scans: Relevance scans by name; each adds a row.
    """
    region = _region(base)
    thought = base.cascade.reasoning.model_copy(update={"enabled": True})
    none = _with(base, preset="none")
    grid = [
        Setting("policy in one prompt", "policy_direct", none),
        Setting("each rule whole", "rule_whole", none),
        *(Setting(f"chain, {preset}", config=_with(base, preset=preset), fit=fit) for preset, fit in _PRESETS),
        Setting("chain, log_odds, weight fitted", config=_with(base, preset="log_odds"), fit=("prior_weight",)),
        Setting("chain + region", config=_with(base, region=region)),
        Setting("chain + region, margins fitted", config=_with(base, region=region), fit=("region",)),
        Setting(
            "chain + region, also of what was accepted",
            config=_with(base, region=region.model_copy(update={"test_satisfied": True})),
        ),
        Setting("chain + holistic", config=_with(base), fit=("holistic",)),
    ]
    grid += [Setting(f"chain + {name}", config=_with(base, relevance=scan)) for name, scan in scans.items()]
    if reasoning:
        grid.append(Setting("chain + reasoning", config=_with(base, reasoning=thought)))
        full = _with(base, region=region, reasoning=thought)
        grid.append(Setting("full cascade", config=full, fit=("region", "holistic")))
    return grid


_PRESETS: tuple[tuple[Preset, tuple[Fit, ...]], ...] = (
    ("none", ()),
    ("threshold", ("bias",)),
    ("clue", ()),
    ("log_odds", ()),
    ("contextual", ()),
    ("contrastive", ()),
    ("batch", ("corpus",)),
    ("mixture", ("corpus",)),
)


def _region(base: JudgeConfig) -> RegionSettings:
    """With a localizer that needs no other model, if there is none."""
    region = base.cascade.region
    return region.model_copy(update={"localizer": "occlusion"}) if region.localizer == "off" else region


def _with(base: JudgeConfig, *, preset: Preset | None = None, **stages: Settings) -> JudgeConfig:
    """`base` without any stage but those given, by the names of their fields in `Cascade`."""
    thresholds = base.thresholds.model_copy(update={"preset": preset} if preset else {})
    cascade = Cascade(thorough=base.cascade.thorough).model_copy(update=stages)
    return base.model_copy(update={"thresholds": thresholds, "cascade": cascade})


class Ablation:
    """Runs settings on splits with one engine; questions that settings share are asked once."""

    def __init__(self, engine: Engine, constitution: Constitution, calibration: LabelledSet) -> None:
        self._engine = MemoEngine(engine)
        self._constitution = constitution
        self._calibration = calibration
        self._priors = PriorStore(None)

    async def run(self, setting: Setting, splits: Sequence[LabelledSet]) -> AsyncIterator[Run]:
        """One run per split, in order.

        Raises:
            EngineError: A baseline could not be asked; the cascade abstains instead.
        """
        fitted = await self._fitted(setting)
        for split in splits:
            yield Run(fitted, split.name, tuple(await self._results(fitted, split.items)))

    async def _fitted(self, setting: Setting) -> Setting:
        for fit in setting.fit:
            setting = await self._fit(setting, fit)
        return setting

    async def _fit(self, setting: Setting, fit: Fit) -> Setting:
        match fit:
            case "corpus":
                return await self._with_corpus(setting)
            case "bias":
                candidates = [_with_thresholds(setting, bias=bias) for bias in _BIASES]
            case "prior_weight":
                candidates = [_with_thresholds(setting, prior_weight=weight) for weight in _PRIOR_WEIGHTS]
            case "holistic":
                candidates = [_reweighted(setting, weight) for weight in _HOLISTIC_WEIGHTS]
            case "region":
                margins = _REGION_MARGINS
                candidates = [_with_thresholds(setting, region_accept=a, region_reject=r) for a, r in margins]
        measure = benefit if fit == "region" else _f1
        scored = [(measure(await self._results(each, self._calibration.items)), each) for each in candidates]
        return max(scored, key=lambda pair: pair[0])[1]

    async def _with_corpus(self, setting: Setting) -> Setting:
        verdicts = await self._judge(_with(setting.config, preset="none"), self._calibration.items)
        once = {  # a precondition that several rules share is evidence of each
            (number, item.precondition_id): item
            for number, (verdict, _) in enumerate(verdicts)
            for rule in verdict.rules
            for item in rule.evidence
        }
        corpus = corpus_statistics(once.values(), min_mass=setting.config.thresholds.min_mass)
        return _with_thresholds(setting, corpus=corpus)

    async def _results(self, setting: Setting, items: Sequence[Labelled]) -> list[Result]:
        if setting.way != "cascade":
            return [await self._baseline(setting.way, item) for item in items]
        verdicts = await self._judge(setting.config, items)
        return [
            Result(item, verdict.score, verdict.flagged, verdict.usage, seconds)
            for item, (verdict, seconds) in zip(items, verdicts, strict=True)
        ]

    async def _judge(self, config: JudgeConfig, items: Sequence[Labelled]) -> list[tuple[Verdict, float]]:
        """Verdicts, and the seconds of each one's batch per item."""
        judge = Judge(self._engine, self._constitution, config, priors=self._priors)
        self._engine.restart()
        found: list[tuple[Verdict, float]] = []
        for start in range(0, len(items), config.concurrency):
            part = items[start : start + config.concurrency]
            before_s = self._engine.spent_s
            verdicts = await judge.judge([item.media for item in part])
            each_s = (self._engine.spent_s - before_s + _scan_s(verdicts)) / len(part)
            found += [(verdict, each_s) for verdict in verdicts]
        return found

    async def _baseline(self, way: Literal["policy_direct", "rule_whole"], item: Labelled) -> Result:
        before_s, before = self._engine.spent_s, self._engine.usage
        rules, frames = self._constitution.rules, item.media.frames
        if way == "policy_direct":
            evidence = await policy_direct(self._engine, rules, frames, _DIRECT)
        else:
            evidence = [e for found in await rule_whole(self._engine, rules, frames, _DIRECT) for e in found.values()]
        score = max(each.probability for each in evidence)
        return Result(item, score, score >= 0.5, self._engine.usage - before, self._engine.spent_s - before_s)


def _scan_s(verdicts: Sequence[Verdict]) -> float:
    """What the scan of a batch took, which its verdicts share. The engine does not count it."""
    return max((verdict.timings_ms.get("scan", 0.0) for verdict in verdicts), default=0.0) / 1000.0


def columns(results: Sequence[Result]) -> tuple[Bools, Floats]:
    """Labels and scores, as the measures take them."""
    return np.array([r.item.harmful for r in results]), np.array([r.score for r in results], dtype=np.float64)


def benefit(results: Sequence[Result]) -> float:
    """Mean worth of the verdicts: 1 for a right one, -2 for a wrong one, nothing for an abstention."""
    worth = [0.0 if r.flagged is None else 1.0 if r.flagged == r.item.harmful else -_WRONG for r in results]
    return float(np.mean(worth)) if worth else float("nan")


def _f1(results: Sequence[Result]) -> float:
    return f1(*columns(results))


def _reweighted(setting: Setting, weight: float) -> Setting:
    cascade = setting.config.cascade.model_copy(update={"holistic_weight": weight})
    return replace(setting, config=setting.config.model_copy(update={"cascade": cascade}))


def _with_thresholds(setting: Setting, **changes: object) -> Setting:
    thresholds = setting.config.thresholds.model_copy(update=changes)
    return replace(setting, config=setting.config.model_copy(update={"thresholds": thresholds}))
