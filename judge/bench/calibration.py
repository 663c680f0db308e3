"""Thresholds with a guarantee: fitted on one labelled set, measured on another.

Labels beside harmful and harmless are taken where a set has them: kinds of harm that are ids of rules label rules, and
the attributes `holds` and `fails` (ids with semicolons) label preconditions.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from judge.binomial import lower_bound, upper_bound
from judge.calibrate import Design, Scored, SideFit, StageFit, fit_stages
from judge.config import Calibrated, CalibratedSide, CalibratedStage, LabelledData, ScoreMap
from judge.errors import ConfigError, JudgeError
from judge.media import InlineMedia, Permissions, load_media
from judge.metrics import Measured, bootstrap, ece, reliability
from judge.pipeline import Judge
from judge.score_map import fit_map
from judge.sources.read import read_bytes
from judge.sources.sample import Sample
from judge.types import Media, Side, Verdict


@dataclass(frozen=True, slots=True)
class Judged:
    """A labelled sample, its verdict, and the verdict's score after every stage."""

    sample: Sample
    harmful: bool
    verdict: Verdict
    scores: tuple[float | None, ...]


@dataclass(slots=True)
class JudgedSet:
    """What could be judged, and why the rest could not, by sample id."""

    name: str
    items: list[Judged] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> LabelledData:
        lines = sorted(f"{each.verdict.media_id} {each.harmful:d}" for each in self.items)
        return LabelledData(
            name=self.name, digest=hashlib.sha256("\n".join(lines).encode()).hexdigest(),
            n=len(self.items), n_harmful=sum(each.harmful for each in self.items),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class SideResult:
    """One side on labelled media that no threshold was fitted on. `low`, `high`: exact 95 % bounds of the error."""

    stage: str
    side: Side
    n: int
    n_wrong: int
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Applied:
    """What fitted thresholds did on another set.

    Attributes:
        covered: Media settled, of all that were judged.
        by_rules: Media that the rules alone decide, and those of them decided wrongly, for comparison.
        ece_before: Of verdict scores; `ece_after`: of calibrated ones. None without a map.
        reliability_before: Mean score, share harmful and number of media in each tenth of the verdict scores;
            `reliability_after`: of the calibrated ones.
    """

    name: str
    n: int
    covered: int
    by_rules: tuple[int, int]
    sides: tuple[SideResult, ...]
    ece_before: Measured | None
    ece_after: Measured | None
    reliability_before: tuple[tuple[float, float, int], ...] = ()
    reliability_after: tuple[tuple[float, float, int], ...] = ()


async def judge_samples(
    judge: Judge, name: str, samples: Iterable[Sample], *, permissions: Permissions, batch: int
) -> AsyncIterator[JudgedSet]:
    """The same set after every batch of pictures, as it grows."""
    found = JudgedSet(name)
    for part in _batches(samples, found, permissions, batch):
        staged = await judge.judge_by_stage([media for _, media in part])
        for (sample, _), each in zip(part, staged, strict=True):
            found.items.append(Judged(sample, bool(sample.harmful), each.verdict, each.scores))
        yield found
    yield found


def fit(judge: Judge, judged: JudgedSet, design: Design) -> tuple[Calibrated, tuple[StageFit, ...]]:
    """Thresholds and maps, and how each threshold was tested.

    Raises:
        ConfigError: There is nothing to fit on, or only one class.
    """
    labels = {each.harmful for each in judged.items}
    if len(labels) < 2:
        lacking = "no labelled pictures" if not labels else f"no {'harmless' if True in labels else 'harmful'} pictures"
        first = next((f"'{id}': {reason}" for id, reason in judged.left_out.items()), "")
        hint = f"{len(judged.left_out)} samples could not be used, e.g. {first}" if first else ""
        raise ConfigError(f"'{judged.name}' has {lacking}: nothing can be fitted on it", hint=hint)
    scored = [Scored(each.scores, each.harmful, each.sample.group or each.sample.id) for each in judged.items]
    fits = fit_stages(scored, len(judge.stages), design)
    sound = [each for each in judged.items if each.scores[-1] is not None]
    calibrated = Calibrated(
        max_error=design.max_error,
        confidence=design.confidence,
        stages=tuple(_stage(name, each) for name, each in zip(judge.stages, fits, strict=True)),
        made_with=judge.made_with,
        data=judged.data,
        score_map=_map([(each.verdict.score, each.harmful) for each in sound]),
        rule_maps=_maps(_rule_labels(sound)),
        precondition_maps=_maps(_precondition_labels(sound)),
    )
    return calibrated, fits


def measure(judged: JudgedSet, stages: Sequence[str]) -> Applied:
    """From verdicts that were made with fitted thresholds."""
    sides: tuple[Side, ...] = ("unsafe", "safe")
    ruled = [(each.harmful, flag) for each in judged.items if (flag := _by_rules(each.verdict)) is not None]
    sound = [each for each in judged.items if each.scores[-1] is not None]
    before = [each.verdict.score for each in sound]
    after = [score for each in sound if (score := each.verdict.calibrated_score) is not None]
    return Applied(
        name=judged.name,
        n=len(judged.items),
        covered=sum(each.verdict.guarantee is not None for each in judged.items),
        by_rules=(len(ruled), sum(harmful != flag for harmful, flag in ruled)),
        sides=tuple(_side(judged.items, stage, side) for stage in stages for side in sides),
        ece_before=_ece(before, sound),
        ece_after=_ece(after, sound),
        reliability_before=_reliability(before, sound),
        reliability_after=_reliability(after, sound),
    )


def _batches(
    samples: Iterable[Sample], found: JudgedSet, permissions: Permissions, size: int
) -> Iterator[list[tuple[Sample, Media]]]:
    """Labelled pictures in memory; what is of no use is noted in `found`."""
    part: list[tuple[Sample, Media]] = []
    for sample in samples:
        try:
            part.append((sample, _picture(sample, permissions)))
        except JudgeError as error:
            found.left_out[sample.id] = error.message
        if len(part) == size:
            yield part
            part = []
    if part:
        yield part


def _picture(sample: Sample, permissions: Permissions) -> Media:
    if sample.harmful is None:
        raise ConfigError(sample.problem or "it has no label")
    data = read_bytes(sample.locator, permissions)
    media = load_media(InlineMedia(data=data.data, name=data.source), permissions)
    if media.video is not None:
        media.video.close()
    if media.kind != "image":
        raise ConfigError("it is no picture: thresholds are fitted on pictures")
    return media


def _stage(name: str, fitted: StageFit) -> CalibratedStage:
    return CalibratedStage(stage=name, unsafe=_chosen(fitted.unsafe), safe=_chosen(fitted.safe))


def _chosen(side: SideFit) -> CalibratedSide | None:
    if side.chosen is None:
        return None
    return CalibratedSide(
        threshold=side.chosen.threshold, n_tested=side.chosen.n, n_wrong=side.chosen.n_wrong,
        upper_bound=side.chosen.upper_bound,
    )  # fmt: skip


def _rule_labels(judged: Sequence[Judged]) -> dict[str, list[tuple[float, bool]]]:
    """Scores and labels by rule; nothing from a set in which harm of a kind that is no rule occurs."""
    known = {rule.rule_id for each in judged for rule in each.verdict.rules}
    if any(each.harmful and not (each.sample.labels and set(each.sample.labels) <= known) for each in judged):
        return {}
    found: dict[str, list[tuple[float, bool]]] = {}
    for each in judged:
        for rule in each.verdict.rules:
            violated = each.harmful and rule.rule_id in each.sample.labels
            found.setdefault(rule.rule_id, []).append((rule.score, violated))
    return found


def _precondition_labels(judged: Sequence[Judged]) -> dict[str, list[tuple[float, bool]]]:
    found: dict[str, list[tuple[float, bool]]] = {}
    for each in judged:
        truth = dict.fromkeys(_ids(each.sample, "fails"), False) | dict.fromkeys(_ids(each.sample, "holds"), True)
        last = {item.precondition_id: item.probability for rule in each.verdict.rules for item in rule.evidence}
        for name, probability in last.items():
            if name in truth:
                found.setdefault(name, []).append((probability, truth[name]))
    return found


def _ids(sample: Sample, attribute: str) -> list[str]:
    return [name.strip() for name in sample.attributes.get(attribute, "").split(";") if name.strip()]


def _maps(labels: Mapping[str, Sequence[tuple[float, bool]]]) -> dict[str, ScoreMap]:
    found = {name: _map(pairs) for name, pairs in labels.items()}
    return {name: each for name, each in found.items() if each is not None}


def _map(pairs: Sequence[tuple[float, bool]]) -> ScoreMap | None:
    scores, labels = zip(*pairs, strict=True) if pairs else ((), ())
    return fit_map(np.array(scores, dtype=np.float64), np.array(labels, dtype=np.bool_))


def _by_rules(verdict: Verdict) -> bool | None:
    """What the rules say without fitted thresholds."""
    outcomes = {rule.outcome for rule in verdict.rules}
    if "violated" in outcomes:
        return True
    return None if "abstained" in outcomes or not outcomes else False


def _side(judged: Sequence[Judged], stage: str, side: Side) -> SideResult:
    settled = [
        each for each in judged
        if (promise := each.verdict.guarantee) is not None and (promise.stage, promise.side) == (stage, side)
    ]  # fmt: skip
    n, wrong = len(settled), sum(each.harmful != (side == "unsafe") for each in settled)
    low, high = (lower_bound(wrong, n, 0.975), upper_bound(wrong, n, 0.975)) if n else (0.0, 1.0)
    return SideResult(stage, side, n, wrong, low, high)


def _reliability(scores: Sequence[float], judged: Sequence[Judged]) -> tuple[tuple[float, float, int], ...]:
    if len(scores) != len(judged) or not scores:
        return ()
    return reliability(np.array([each.harmful for each in judged]), np.array(scores))


def _ece(scores: Sequence[float], judged: Sequence[Judged]) -> Measured | None:
    if len(scores) != len(judged):
        return None
    groups = [each.sample.group or each.sample.id for each in judged]
    return bootstrap(ece, np.array([each.harmful for each in judged]), np.array(scores), groups=groups)
