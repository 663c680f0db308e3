"""The judge: decoded media in, verdicts out.

Not here: reading files (the entry points do), prompts and readings (`judge.stages`), logic (`judge.decide`), fitted
thresholds (`judge.stages.fitted`).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from judge import __version__
from judge.config import JudgeConfig, MadeWith
from judge.constitution import Constitution, Rule
from judge.debias import references
from judge.engines.base import Capabilities, Engine
from judge.engines.build import check_capabilities
from judge.guarantee import FAST
from judge.media.image import sample_evenly
from judge.media.views import NOTHING
from judge.prompts.debate import JudgedExample
from judge.prompts.render import templates_digest
from judge.stages.along import to_ms
from judge.stages.asking import DOMAIN_ID, Asker
from judge.stages.board import ENGINE_FAILED, Decider, FrameBoard, MediaBoard
from judge.stages.build import build_rule_debate, build_scan, build_stages
from judge.stages.cascade import escalate
from judge.stages.escalation import SlowStage
from judge.stages.fitted import FittedThresholds
from judge.stages.prior_store import PriorStore, default_cache_dir
from judge.stages.relevance import RelevanceScan
from judge.stages.token_probability import TokenProbability
from judge.stages.video import OnProgress, VideoStage
from judge.types import Domain, Evidence, Media, Verdict, Versions

UNREAD_TEXT = "the words posted with it were not read"
"""How the notice begins that says so."""
VIDEO_FAILED = "the video could not be read"
FAILURES = (ENGINE_FAILED, VIDEO_FAILED)
"""How an abstention is worded that is a failure of the engine or of a file, not a doubt."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A verdict, and its score after every stage; None where it could not be relied on.

    Attributes:
        unread_ms: Entries of its timelines, by their time, that rest on a question without an answer.
    """

    verdict: Verdict
    scores: tuple[float | None, ...]
    unread_ms: frozenset[int] = frozenset()


class Judge:
    """Judges media under one constitution with one engine. The engine stays the caller's to close.

    Args:
        priors: Where text-only readings are kept; None = as `config` says.
        stages: The slow stages in their order, and no debate about rules; None = as `config` says.
        scan: The relevance scan; None = as `config` says.
        panel: The models of `config.panel`, by name; they stay the caller's to close, too.
        examples: Media judged before, by rule id, for debates about rules.
        notices: What readers of every verdict must know beside what the judge itself knows, e.g. of the canary.
        on_progress: Told how far the looking at a video is.

    Raises:
        ConfigError: The engine lacks what the pipeline, a stage or the preset needs, or wants to be asked in an unknown
            format.
        CalibrationError: The fitted thresholds were fitted with something else.
    """

    def __init__(
        self,
        engine: Engine,
        constitution: Constitution,
        config: JudgeConfig | None = None,
        *,
        priors: PriorStore | None = None,
        stages: Sequence[SlowStage] | None = None,
        scan: RelevanceScan | None = None,
        panel: Mapping[str, Engine] | None = None,
        examples: Mapping[str, Sequence[JudgedExample]] | None = None,
        notices: Sequence[str] = (),
        on_progress: OnProgress | None = None,
    ) -> None:
        self._config = config or JudgeConfig()
        self._notices_of_all = tuple(notices)
        prior = "none" in references(self._config.thresholds)
        writes = self._config.cascade.reasoning.enabled or self._config.cascade.vote.enabled
        check_capabilities(engine, Capabilities(generation=writes, text_only=prior))
        self._templates = {text: templates_digest(engine.info.question_format, text=text) for text in (False, True)}
        self._engine = engine
        self._constitution = constitution
        self._decider = Decider(constitution, self._config)
        self._fitted = FittedThresholds(self._config.calibrated, self._decider)
        self._fast = TokenProbability(engine, self._config.thresholds, priors or _open_priors(self._config))
        self._slow = build_stages(engine, self._config, panel) if stages is None else tuple(stages)
        debate = build_rule_debate(engine, self._config, panel, examples=examples) if stages is None else None
        self._rule_debate = debate
        self._scan = build_scan(constitution, self._config) if scan is None else scan
        self._asker = Asker(engine, self._fast, self._decider, self._config, self._scan)
        self._video = VideoStage(engine, self._asker, self._decider, self._config, on_progress)
        if self._config.calibrated is not None:
            self._fitted.check(self.made_with, self.stages)

    @property
    def stages(self) -> tuple[str, ...]:
        """Names of the stages, in their order."""
        debate = (self._rule_debate.name,) if self._rule_debate is not None else ()
        return (FAST, *(stage.name for stage in self._slow), *debate)

    @property
    def made_with(self) -> MadeWith:
        """Digests of what the scores of pictures come from."""
        return MadeWith(
            model=self._engine.info.digest, templates=self._templates[False], constitution=self._constitution.digest,
            thresholds=self._config.thresholds.digest, cascade=self._cascade_digest(),
        )  # fmt: skip

    async def judge(self, media: Sequence[Media]) -> list[Verdict]:
        """One verdict per media, in order. What the engine cannot answer is abstained and spoils nothing else."""
        return [verdict for part in _parts(media, self._config.concurrency) for verdict in await self._together(part)]

    async def judge_by_stage(self, media: Sequence[Media]) -> list[Staged]:
        """As `judge`, with the score after every stage: what thresholds are fitted on."""
        staged: list[Staged] = []
        for part in _parts(media, self._config.concurrency):
            timings_ms: dict[str, float] = {}
            scores: list[tuple[float | None, ...]] = [() for _ in part]
            boards: list[MediaBoard] = []
            async for boards in self._steps(part, timings_ms):
                scores = [(*old, self._fitted.score(board)) for old, board in zip(scores, boards, strict=True)]
            verdicts = [self._verdict(board, timings_ms) for board in boards]
            unread = [board.unread_ms if board.has_time else frozenset() for board in boards]
            staged += [Staged(*each) for each in zip(verdicts, scores, unread, strict=True)]
        return staged

    async def refine(self, media: Media) -> AsyncGenerator[Verdict, None]:
        """The verdict of the one-token questions, then again after every slow stage that added to it.

        The last one is the verdict of `judge`. Whoever stops early has the best so far.
        """
        timings_ms: dict[str, float] = {}
        told: Verdict | None = None
        async for boards in self._steps([media], timings_ms):
            (verdict,) = (self._verdict(board, dict(timings_ms)) for board in boards)
            if told is None or _answer(verdict) != _answer(told):
                told = verdict
                yield verdict

    async def _together(self, media: Sequence[Media]) -> list[Verdict]:
        """Pictures and animations, or one video."""
        timings_ms: dict[str, float] = {}
        boards: list[MediaBoard] = []
        async for each in self._steps(media, timings_ms):
            boards = each
        return [self._verdict(board, timings_ms) for board in boards]

    async def _steps(
        self, media: Sequence[Media], timings_ms: dict[str, float]
    ) -> AsyncGenerator[list[MediaBoard], None]:
        """The same boards after the one-token questions and after every slow stage."""
        boards = await self._look([self._readable(each) for each in media], timings_ms)
        for board, each in zip(boards, media, strict=True):
            board.notices += self._about_text(each)
        self._fitted.settle(boards, FAST)
        yield boards
        for stage in self._slow:
            with _timed(timings_ms, stage.name):
                await escalate(stage, _left(boards), self._decider)
            self._fitted.settle(boards, stage.name)
            yield boards
        if self._rule_debate is not None:
            with _timed(timings_ms, self._rule_debate.name):
                await self._rule_debate.argue(_left(boards), self._decider)
            self._fitted.settle(boards, self._rule_debate.name)
            yield boards

    async def _look(self, media: Sequence[Media], timings_ms: dict[str, float]) -> list[MediaBoard]:
        """Boards with everything that one-token questions can tell."""
        if len(media) == 1 and media[0].video is not None:
            with _timed(timings_ms, "watch"):
                return [await self._video.watch(media[0], media[0].video, self._rules(media[0]))]
        boards = [self._board(each) for each in media]
        batch = [(board, board.frames) for board in boards if not board.failure]
        if self._scan is not None:
            with _timed(timings_ms, "scan"):
                await self._asker.scan(batch)
        with _timed(timings_ms, "ask"):
            await self._asker.ask(batch)
        return boards

    def _rules(self, media: Media) -> tuple[Rule, ...]:
        return tuple(rule for rule in self._constitution.rules if media.kind in rule.modalities)

    def _board(self, media: Media) -> MediaBoard:
        kept = sample_evenly(len(media.frames), self._config.max_frames)
        if media.kind == "text":
            able = self._engine.info.reads_text and self._engine.capabilities.text_only
            failure = "" if able else f"model '{self._engine.info.name}' does not judge text without a picture"
            return MediaBoard(media, self._rules(media), (FrameBoard(NOTHING),), failure=failure)
        board = MediaBoard(media, self._rules(media), tuple(FrameBoard(media.frames[index]) for index in kept))
        if board.clip_rules:
            board.clip_failure = "rules about what happens between frames are asked of video files only"
        return board

    def _readable(self, media: Media) -> Media:
        """Without the words that the model was not made to read."""
        return media if media.kind == "text" or self._engine.info.reads_text else replace(media, text="")

    def _about_text(self, media: Media) -> tuple[str, ...]:
        if media.kind == "text":
            return ("text is judged by one-token questions alone",) if self._slow or self._rule_debate else ()
        if media.text and not self._engine.info.reads_text:
            return (f"{UNREAD_TEXT}: {self._engine.info.name} judges what pictures show",)
        if media.text and self._config.cascade.region.localizer != "off":
            return ("no region test was made: an answer may rest on the words posted with it",)
        return ()

    def _verdict(self, board: MediaBoard, timings_ms: Mapping[str, float]) -> Verdict:
        decided_at = time.perf_counter()
        along = [self._decider.along(rule, board) for rule in board.rules]
        rules = tuple(each.decision for each in along)
        decided = self._fitted.decide(board, rules)
        decision = decided.decision
        return Verdict(
            media_id=board.media.id,
            media_kind=board.media.kind,
            n_frames=0 if board.media.kind == "text" else len(board.frames),
            constitution=f"{self._constitution.name}@{self._constitution.version}",
            decision=decision.label,
            flagged=decision.flagged,
            score=decision.score,
            calibrated_score=decided.calibrated_score,
            guarantee=board.guarantee,
            category_scores=decision.category_scores,
            rules=decided.rules,
            duration_ms=to_ms(board.media.duration_s) if board.has_time else None,
            segments=tuple(sorted((s for each in along for s in each.segments), key=lambda s: s.start_ms)),
            timelines=tuple(each.timeline for each in along if each.timeline is not None),
            model=self._engine.info.name,
            notices=self._notices(board),
            reason=decision.reason,
            versions=self._versions(board),
            usage=board.usage,
            timings_ms={**timings_ms, "decide": _ms_since(decided_at)},
        )

    def _notices(self, board: MediaBoard) -> tuple[str, ...]:
        info = self._engine.info
        notices = [self._fitted.promise(board.media), *self._notices_of_all]
        if info.domain:
            notices.append(f"{info.name} judges only its domain: {info.domain.description}")
            notices += _domain_reading(info.domain, [frame.last() for frame in board.frames])
        notices += board.notices
        if len(board.frames) < len(board.media.frames):
            notices.append(f"{len(board.frames)} of {len(board.media.frames)} frames were judged, spread evenly")
        return tuple(notices)

    def _versions(self, board: MediaBoard) -> Versions:
        return Versions(
            package=__version__,
            model=self._engine.info.digest,
            runtime=self._engine.info.runtime,
            constitution=self._constitution.digest,
            templates=self._templates[bool(board.media.text)],
            thresholds=self._config.thresholds.digest,
            cascade=self._cascade_digest(),
            video=self._config.video.digest if board.has_time else "",
            calibrated=self._fitted.digest(board.media),
        )

    def _cascade_digest(self) -> str:
        """Of the settings, and of the models that stages have beside the engine's."""
        scan = self._scan.model_digest if self._scan is not None else ""
        debate = self._rule_debate.model_digest if self._rule_debate is not None else ""
        models = [digest for digest in (scan, *(stage.model_digest for stage in self._slow), debate) if digest]
        settings = self._config.cascade.digest
        return hashlib.sha256(" ".join([settings, *models]).encode()).hexdigest() if models else settings


def engine_failed(verdict: Verdict) -> bool:
    """Whether it is uncertain because the engine or the file broke, not because the model was unsure."""
    return any(words in verdict.reason for words in FAILURES)


def _left(boards: Sequence[MediaBoard]) -> list[MediaBoard]:
    """What slow stages work on: no text, and nothing that is settled."""
    return [board for board in boards if board.media.kind != "text" and board.guarantee is None]


def _answer(verdict: Verdict) -> Verdict:
    """Without what is not part of the answer."""
    return verdict.model_copy(update={"timings_ms": {}})


def _parts(media: Sequence[Media], size: int) -> Iterator[Sequence[Media]]:
    """What is judged together, in order: up to `size` pictures and animations, or a single video."""
    part: list[Media] = []
    for each in media:
        if part and (each.video is not None or len(part) == size):
            yield part
            part = []
        part.append(each)
        if each.video is not None:
            yield part
            part = []
    if part:
        yield part


def _open_priors(config: JudgeConfig) -> PriorStore:
    folder = (config.cache_dir or default_cache_dir()) / "priors"
    return PriorStore(folder if config.cache else None)


def _domain_reading(domain: Domain, evidence: Sequence[Mapping[str, Evidence]]) -> list[str]:
    """The lowest reading of the domain question, if it is too low."""
    readings = [each[DOMAIN_ID].readings for each in evidence if DOMAIN_ID in each]
    lowest = min((each.observed for each in readings if each), default=1.0)
    if lowest >= domain.min_probability:
        return []
    return [f"domain check: probability {lowest:.2f} of '{domain.statement}', {domain.min_probability:.2f} is needed"]


@contextmanager
def _timed(timings_ms: dict[str, float], step: str) -> Iterator[None]:
    started_at = time.perf_counter()
    yield
    timings_ms[step] = _ms_since(started_at)


def _ms_since(start_s: float) -> float:
    return (time.perf_counter() - start_s) * 1000.0
