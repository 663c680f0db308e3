"""Our own judge as a detector: one-token questions only, the whole cascade, or the whole policy in one prompt."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from judge import __version__
from judge.bench.detectors.base import DetectorInfo, DetectorSettings, Moment, Prediction
from judge.bench.detectors.common_names import common_scores, kinds_of_rules
from judge.bench.detectors.leases import Lease
from judge.bench.detectors.options import read_options
from judge.bench.detectors.ours_settings import (
    OUR_FIELDS,
    FullOptions,
    OursOptions,
    base_config,
    fast_only,
    policy_of,
    with_stages,
)
from judge.bench.memo import MemoEngine
from judge.canary import check_at_start
from judge.config import JudgeConfig, Thresholds
from judge.constitution import Constitution
from judge.engines.base import Engine
from judge.engines.tasks import run_in_thread
from judge.errors import JudgeError, MediaError
from judge.media.image import sample_evenly
from judge.pipeline import Judge, Staged, engine_failed
from judge.prompts.render import templates_digest
from judge.stages.direct import policy_direct
from judge.stages.watching import Watcher
from judge.types import Evidence, Frame, Media, Modality

_LOG = logging.getLogger(__name__)
_DIRECT = Thresholds(preset="none", accept=0.5, reject=0.5)
"""The baseline reads the observed probability only."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What every one of our detectors is made of; `leases`, of all engines, are the detector's to close."""

    settings: DetectorSettings
    policy: Constitution
    config: JudgeConfig
    engine: Engine
    panel: Mapping[str, Engine]
    leases: Sequence[Lease]


class _Ours(ABC):
    """See `judge.bench.detectors.base.Detector`."""

    options: ClassVar[type[OursOptions]] = OursOptions

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._threshold = parts.settings.threshold
        self._closed = False

    @classmethod
    def from_settings(cls, settings: DetectorSettings) -> Self:
        """As `ConfigurableDetector.from_settings`; the model's canary is run as its settings say."""
        options = read_options(cls.options, settings, uses=OUR_FIELDS)
        policy, config = policy_of(options), base_config(settings, options)
        leases = [Lease(config.engine)]
        engine = leases[0].engine
        try:
            for notice in run_in_thread(check_at_start(engine, config.engine)) if leases[0].is_first else ():
                _LOG.warning("%s", notice)
            config = cls._configured(config, options, engine)
            panel: dict[str, Engine] = {}
            for name in _played(config):
                leases.append(Lease(config.panel[name]))
                panel[name] = leases[-1].engine
            return cls(Parts(settings, policy, config, engine, panel, leases))
        except JudgeError:
            for each in leases:
                run_in_thread(each.close())
            raise

    @classmethod
    def _configured(cls, config: JudgeConfig, options: OursOptions, engine: Engine) -> JudgeConfig:
        return fast_only(config)

    @property
    @abstractmethod
    def info(self) -> DetectorInfo: ...

    @abstractmethod
    async def _predict(self, media: Sequence[Media]) -> list[Prediction]:
        """Of media in `info.modalities`, at least one. What it raises is a failure of all of them."""

    async def detect(self, media: Sequence[Media]) -> list[Prediction]:
        taken = [place for place, each in enumerate(media) if each.kind in self.info.modalities]
        found = dict(zip(taken, await self._try([media[place] for place in taken]), strict=True))
        return [found.get(place) or self._not_taken(each) for place, each in enumerate(media)]

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for lease in self.parts.leases:
            await lease.close()

    async def _try(self, media: Sequence[Media]) -> list[Prediction]:
        """A batch that fails is asked again one by one, so that only what fails itself is a failure."""
        if not media:
            return []
        started_s = time.perf_counter()
        try:
            found = await self._predict(media)
        except JudgeError as error:
            if len(media) > 1:
                return [(await self._try([each]))[0] for each in media]
            found = [Prediction(None, None, reason=str(error), failed=True)]
        each_s = (time.perf_counter() - started_s) / len(media)
        return [replace(each, model_s=each_s) for each in found]

    def _not_taken(self, media: Media) -> Prediction:
        told = f"no rule of constitution '{self.parts.policy.name}' is about media of kind '{media.kind}'"
        if media.kind == "text" and any("text" in rule.modalities for rule in self.parts.policy.rules):
            told = f"model '{self.parts.engine.info.name}' does not judge text without a picture here"
        return Prediction(None, None, reason=told)

    def _modalities(self, *, text: bool) -> frozenset[Modality]:
        """Those that the rules are about and the model can be asked about."""
        kinds = {kind for rule in self.parts.policy.rules for kind in rule.modalities}
        return frozenset(kinds if text else kinds - {"text"})

    def _describe(self, how: str, digests: Sequence[str], *, text: bool, threshold: float) -> DetectorInfo:
        parts = self.parts
        modalities = self._modalities(text=text and parts.engine.capabilities.text_only)
        seen = {
            "detector": how, "package": __version__, "model": parts.engine.info.digest,
            "runtime": parts.engine.info.runtime, "constitution": parts.policy.digest, "digests": list(digests),
            "threshold": self._threshold, "max_frames": parts.config.max_frames,
            "sampling": parts.config.video.digest, "panel": {n: e.info.digest for n, e in sorted(parts.panel.items())},
        }  # fmt: skip
        shown = f", {self._threshold:g}" if self._threshold is not None else ""
        return DetectorInfo(
            name=parts.settings.label or f"{parts.settings.name}({parts.engine.info.name}, {parts.policy.name}{shown})",
            digest=hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest(),
            modalities=modalities,
            categories=kinds_of_rules(parts.policy, modalities),
            threshold=threshold if self._threshold is None else self._threshold,
            reads_text=text,
            source="this project",
        )


class Fast(_Ours):
    """One-token questions about preconditions, and nothing behind them."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._judge = Judge(parts.engine, parts.policy, parts.config, panel=parts.panel)
        made, calibrated = self._judge.made_with, parts.config.calibrated
        text = parts.engine.info.reads_text
        words = templates_digest(parts.engine.info.question_format, text=True) if text else ""
        digests = [made.templates, words, made.thresholds, made.cascade, calibrated.digest if calibrated else ""]
        how = " + ".join(self._judge.stages)
        self._info = self._describe(how, digests, text=text, threshold=parts.config.thresholds.accept)

    @property
    def info(self) -> DetectorInfo:
        """Without a threshold in the settings the rules decide, and this one is where a precondition is accepted."""
        return self._info

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of what runs, in order."""
        return self._judge.stages

    async def _predict(self, media: Sequence[Media]) -> list[Prediction]:
        return [self._prediction(each) for each in await self._judge.judge_by_stage(media)]

    def _prediction(self, staged: Staged) -> Prediction:
        """The verdict; with a threshold of the caller's, the score against it, wherever it can be relied on."""
        verdict = staged.verdict
        if engine_failed(verdict):
            return Prediction(None, None, reason=verdict.reason, failed=True, usage=verdict.usage)
        flagged, reason = verdict.flagged, verdict.reason
        if self._threshold is not None and staged.scores[-1] is not None:
            flagged, reason = verdict.score >= self._threshold, ""
        elif self._threshold is not None:
            flagged, reason = None, reason or "a question has no answer: the score cannot be relied on"
        scores = common_scores(self.parts.policy, verdict.category_scores)
        return Prediction(verdict.score, flagged, scores, reason=reason, usage=verdict.usage, moments=_moments(staged))


class Full(Fast):
    """The whole cascade: behind the questions a region test and reasoning; votes and debates where they are chosen."""

    options = FullOptions

    @classmethod
    def _configured(cls, config: JudgeConfig, options: OursOptions, engine: Engine) -> JudgeConfig:
        assert isinstance(options, FullOptions)
        return with_stages(config, options, engine)


class PolicyDirect(_Ours):
    """The baseline: all rules in one prompt, one question per frame, the highest probability counts."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        style = parts.engine.info.question_format
        digests = [templates_digest(style), _DIRECT.digest, f"{parts.config.thresholds.min_mass!r}"]
        self._info = self._describe("policy in one prompt", digests, text=False, threshold=_DIRECT.accept)
        self._thresholds = _DIRECT.model_copy(update={"min_mass": parts.config.thresholds.min_mass})

    @property
    def info(self) -> DetectorInfo:
        return self._info

    async def _predict(self, media: Sequence[Media]) -> list[Prediction]:
        return [await self._one(each) for each in media]

    async def _one(self, media: Media) -> Prediction:
        rules = [rule for rule in self.parts.policy.rules if media.kind in rule.modalities]
        frames = await self._frames(media)
        counting = MemoEngine(self.parts.engine)  # for this media alone, so that nothing is remembered for long
        evidence = await policy_direct(counting, rules, frames, self._thresholds)
        usage = counting.usage
        unread = next((each for each in evidence if each.readings is None), None)
        if unread is not None:
            return Prediction(None, None, reason=unread.reason, failed=True, usage=usage)
        highest = max(evidence, key=lambda each: each.probability)
        score, silent = highest.probability, self._silent(evidence)
        flagged = None if silent else score >= self.info.threshold
        moments = self._moments(frames, evidence) if media.video is not None else ()
        return Prediction(score, flagged, reason=silent, usage=usage, moments=moments)

    def _moments(self, frames: Sequence[Frame], evidence: Sequence[Evidence]) -> tuple[Moment, ...]:
        """Of the frames that the model answered about."""
        read = zip(frames, evidence, strict=True)
        return tuple((frame.timestamp_s, each.probability) for frame, each in read if not self._hardly(each))

    def _silent(self, evidence: Sequence[Evidence]) -> str:
        """Why the model's answers are none; empty if they are."""
        hardly = [each for each in evidence if self._hardly(each)]
        return hardly[0].reason or "the model hardly answered" if hardly else ""

    def _hardly(self, evidence: Evidence) -> bool:
        return evidence.readings is not None and evidence.readings.mass < self._thresholds.min_mass

    async def _frames(self, media: Media) -> Sequence[Frame]:
        """Those that are judged; of a video, the first pass of its sampling strategy."""
        if media.video is not None:
            return await Watcher(media.video, self.parts.config.video.sampling).first()
        if not media.frames:
            raise MediaError(f"'{media.source}' has no picture")
        return [media.frames[place] for place in sample_evenly(len(media.frames), self.parts.config.max_frames)]


def _moments(staged: Staged) -> tuple[Moment, ...]:
    """At every time that was judged the highest score of a rule, as it was read.

    Not the smoothed one, which decides whether a run of frames is a moment: it carries harm into the calm beside it. An
    undecided frame keeps its score, for it was read; one that could not be read has none. Within a piece of video that
    violates a rule about clips, its score counts as well (docs/log.md, average precision by frame).
    """
    verdict, highest = staged.verdict, dict[int, float]()
    for timeline in verdict.timelines:
        for time_ms, score in zip(timeline.timestamps_ms, timeline.scores, strict=True):
            if time_ms not in staged.unread_ms:
                highest[time_ms] = max(score, highest.get(time_ms, 0.0))
    for piece in verdict.segments:
        if piece.source == "clip":
            inside = [time_ms for time_ms in highest if piece.start_ms <= time_ms <= piece.end_ms]
            highest |= {time_ms: max(highest[time_ms], piece.peak_probability) for time_ms in inside}
    return tuple((time_ms / 1000.0, score) for time_ms, score in sorted(highest.items()))


def _played(config: JudgeConfig) -> tuple[str, ...]:
    """The models of the panel that play a role; one that is not there is told of by whoever builds the debate."""
    debate = config.cascade.debate
    names = dict.fromkeys(debate.panel.values()) if debate.enabled else {}
    return tuple(name for name in names if name in config.panel)
