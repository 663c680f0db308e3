"""The judge: decoded media in, verdicts out.

Not here: reading files (the entry points do), prompts and readings (`judge.stages`), logic (`judge.decide`).
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from judge import __version__
from judge.config import JudgeConfig
from judge.constitution import Constitution
from judge.debias import references
from judge.decide import decide
from judge.engines.base import Capabilities, Engine
from judge.engines.build import check_capabilities
from judge.errors import EngineError
from judge.media.image import sample_evenly
from judge.prompts.debate import JudgedExample
from judge.prompts.render import templates_digest
from judge.stages.board import Decider, FrameBoard, MediaBoard
from judge.stages.build import build_rule_debate, build_scan, build_stages
from judge.stages.cascade import escalate
from judge.stages.escalation import SlowStage
from judge.stages.prior_store import PriorStore, default_cache_dir
from judge.stages.relevance import RelevanceScan
from judge.stages.token_probability import FrameQuestions, TokenProbability
from judge.types import Domain, Evidence, Media, Verdict, Versions

_LOG = logging.getLogger(__name__)
DOMAIN_ID = "(domain)"
"""Id of the question whether a frame is in the model's domain; no precondition can have it."""
NO_GUARANTEE = "thresholds are presets, not fitted to labelled data: no error rate is guaranteed"


class Judge:
    """Judges media under one constitution with one engine. The engine stays the caller's to close.

    Args:
        priors: Where text-only readings are kept; None = as `config` says.
        stages: The slow stages in their order, and no debate about rules; None = as `config` says.
        scan: The relevance scan; None = as `config` says.
        panel: The models of `config.panel`, by name; they stay the caller's to close, too.
        examples: Media judged before, by rule id, for debates about rules.
        notices: What readers of every verdict must know beside what the judge itself knows, e.g. of the canary.

    Raises:
        ConfigError: The engine lacks what the pipeline, a stage or the preset needs, or wants to be asked in an unknown
            format.
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
    ) -> None:
        self._config = config or JudgeConfig()
        self._standing_notices = (NO_GUARANTEE, *notices)
        prior = "none" in references(self._config.thresholds)
        writes = self._config.cascade.reasoning.enabled or self._config.cascade.vote.enabled
        check_capabilities(engine, Capabilities(generation=writes, text_only=prior))
        self._templates = templates_digest(engine.info.question_format)
        self._engine = engine
        self._constitution = constitution
        self._decider = Decider(constitution, self._config)
        self._fast = TokenProbability(engine, self._config.thresholds, priors or _open_priors(self._config))
        self._slow = build_stages(engine, self._config, panel) if stages is None else tuple(stages)
        debate = build_rule_debate(engine, self._config, panel, examples=examples) if stages is None else None
        self._rule_debate = debate
        self._scan = build_scan(constitution, self._config) if scan is None else scan

    async def judge(self, media: Sequence[Media]) -> list[Verdict]:
        """One verdict per media, in order. What the engine cannot answer is abstained and spoils nothing else."""
        size = self._config.concurrency
        return [
            verdict
            for start in range(0, len(media), size)
            for verdict in await self._judge_together(media[start : start + size])
        ]

    async def _judge_together(self, media: Sequence[Media]) -> list[Verdict]:
        boards = [self._board(each) for each in media]
        timings_ms: dict[str, float] = {}
        if self._scan is not None:
            with _timed(timings_ms, "scan"):
                await self._drop_irrelevant(self._scan, boards)
        with _timed(timings_ms, "ask"):
            await self._ask(boards)
        for stage in self._slow:
            with _timed(timings_ms, stage.name):
                await escalate(stage, boards, self._decider)
        if self._rule_debate is not None:
            with _timed(timings_ms, self._rule_debate.name):
                await self._rule_debate.argue(boards, self._decider)
        return [self._verdict(board, timings_ms) for board in boards]

    def _board(self, media: Media) -> MediaBoard:
        rules = tuple(rule for rule in self._constitution.rules if media.kind in rule.modalities)
        kept = sample_evenly(len(media.frames), self._config.max_frames)
        return MediaBoard(media, rules, tuple(FrameBoard(media.frames[index]) for index in kept))

    async def _drop_irrelevant(self, scan: RelevanceScan, boards: Sequence[MediaBoard]) -> None:
        """A scan that fails drops nothing."""
        frames = [(board, frame) for board in boards for frame in board.frames]
        try:
            found = await scan.scan([frame.frame for _, frame in frames], [board.rules for board, _ in frames])
        except EngineError as error:
            _LOG.warning("the relevance scan failed, so every rule is asked: %s", error)
            return
        for (_, frame), dropped in zip(frames, found, strict=True):
            frame.irrelevant = dropped

    async def _ask(self, boards: Sequence[MediaBoard]) -> None:
        """All media in one call; if that fails, one by one, so that only those that fail alone stay unanswered."""
        try:
            await self._ask_together(boards)
        except EngineError as error:
            if len(boards) == 1:
                boards[0].failure = f"the engine failed: {error}"
                return
            for board in boards:
                await self._ask([board])

    async def _ask_together(self, boards: Sequence[MediaBoard]) -> None:
        batch = [self._questions(board, frame) for board in boards for frame in board.frames]
        answers = iter(await self._fast.ask(batch))
        for board in boards:
            for frame, answer in zip(board.frames, answers, strict=False):
                frame.evidence = {id: (found,) for id, found in answer.evidence.items()}
                frame.whole = answer.whole
                frame.outside = self._outside_domain(answer.evidence)
                board.usage += answer.usage

    def _questions(self, board: MediaBoard, frame: FrameBoard) -> FrameQuestions:
        rules = tuple(rule for rule in board.rules if rule.id not in frame.irrelevant)
        needed = self._decider.needed(rules)
        domain = self._engine.info.domain
        statements = {DOMAIN_ID: domain.statement} if domain and board.rules else {}
        whole = {rule.id: rule.statement for rule in rules} if self._config.cascade.holistic_weight else {}
        return FrameQuestions(frame.frame, statements | needed, whole)

    def _outside_domain(self, evidence: Mapping[str, Evidence]) -> str:
        """Why a frame cannot be judged by this model; empty if it can."""
        domain = self._engine.info.domain
        if domain is None or DOMAIN_ID not in evidence:
            return ""
        readings = evidence[DOMAIN_ID].readings
        if readings is None or readings.mass < self._config.thresholds.min_mass:
            return f"the model did not say whether this is in its domain ({domain.description}); {domain.hint}"
        if readings.observed < domain.min_probability:
            return f"outside the model's domain ({domain.description}); {domain.hint}"
        return ""

    def _verdict(self, board: MediaBoard, timings_ms: Mapping[str, float]) -> Verdict:
        decided_at = time.perf_counter()
        rules = tuple(self._decider.rule(rule, board) for rule in board.rules)
        decision = decide(rules)
        return Verdict(
            media_id=board.media.id,
            media_kind=board.media.kind,
            n_frames=len(board.frames),
            constitution=f"{self._constitution.name}@{self._constitution.version}",
            decision=decision.label,
            flagged=decision.flagged,
            score=decision.score,
            category_scores=decision.category_scores,
            rules=rules,
            model=self._engine.info.name,
            notices=self._notices(board),
            reason=decision.reason,
            versions=self._versions(),
            usage=board.usage,
            timings_ms={**timings_ms, "decide": _ms_since(decided_at)},
        )

    def _notices(self, board: MediaBoard) -> tuple[str, ...]:
        info = self._engine.info
        notices = [*self._standing_notices]
        if info.domain:
            notices.append(f"{info.name} judges only its domain: {info.domain.description}")
            notices += _domain_reading(info.domain, [frame.last() for frame in board.frames])
        if len(board.frames) < len(board.media.frames):
            notices.append(f"{len(board.frames)} of {len(board.media.frames)} frames were judged, spread evenly")
        return tuple(notices)

    def _versions(self) -> Versions:
        return Versions(
            package=__version__,
            model=self._engine.info.digest,
            runtime=self._engine.info.runtime,
            constitution=self._constitution.digest,
            templates=self._templates,
            thresholds=self._config.thresholds.digest,
            cascade=self._cascade_digest(),
        )

    def _cascade_digest(self) -> str:
        """Of the settings, and of the models that stages have beside the engine's."""
        scan = self._scan.model_digest if self._scan is not None else ""
        debate = self._rule_debate.model_digest if self._rule_debate is not None else ""
        models = [digest for digest in (scan, *(stage.model_digest for stage in self._slow), debate) if digest]
        settings = self._config.cascade.digest
        return hashlib.sha256(" ".join([settings, *models]).encode()).hexdigest() if models else settings


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
