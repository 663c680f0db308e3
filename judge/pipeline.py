"""The judge: decoded media in, verdicts out.

Not here: reading files (the entry points do), prompts and readings (`judge.stages`), logic (`judge.decide`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from judge import __version__
from judge.config import JudgeConfig
from judge.constitution import Constitution, Rule, names
from judge.debias import needs_prior
from judge.decide import abstain, decide, decide_rule, merge_frames
from judge.engines.base import Capabilities, Engine
from judge.engines.build import check_capabilities
from judge.errors import EngineError
from judge.media.image import sample_evenly
from judge.prompts.render import templates_digest
from judge.stages.prior_store import PriorStore, default_cache_dir
from judge.stages.token_probability import FrameAnswers, FrameQuestions, TokenProbability
from judge.types import Domain, Evidence, Frame, Media, RuleDecision, Usage, Verdict, Versions

DOMAIN_ID = "(domain)"
"""Id of the question whether a frame is in the model's domain; no precondition can have it."""
NO_GUARANTEE = "thresholds are presets, not fitted to labelled data: no error rate is guaranteed"


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is asked about one piece of media: of each frame, every statement once, however many rules share it."""

    media: Media
    frames: tuple[Frame, ...]
    rules: tuple[Rule, ...]
    statements: Mapping[str, str]


class Judge:
    """Judges media under one constitution with one engine. The engine stays the caller's to close.

    Args:
        priors: Where text-only readings are kept; None = as `config` says.

    Raises:
        ConfigError: The engine lacks what the pipeline or the preset needs, or wants to be asked in an unknown format.
    """

    def __init__(
        self,
        engine: Engine,
        constitution: Constitution,
        config: JudgeConfig | None = None,
        *,
        priors: PriorStore | None = None,
    ) -> None:
        self._config = config or JudgeConfig()
        prior = needs_prior(self._config.thresholds.preset)
        check_capabilities(engine, Capabilities(generation=False, text_only=prior))
        self._templates = templates_digest(engine.info.question_format)
        self._engine = engine
        self._constitution = constitution
        self._stage = TokenProbability(engine, self._config.thresholds, priors or _open_priors(self._config))

    async def judge(self, media: Sequence[Media]) -> list[Verdict]:
        """One verdict per media, in order. What the engine cannot answer is abstained and spoils nothing else."""
        size = self._config.concurrency
        verdicts: list[Verdict] = []
        for start in range(0, len(media), size):
            plans = [self._plan(each) for each in media[start : start + size]]
            asked_at = time.perf_counter()
            answers = await self._ask(plans)
            ask_ms = _ms_since(asked_at)
            verdicts += [self._verdict(plan, answer, ask_ms) for plan, answer in zip(plans, answers, strict=True)]
        return verdicts

    def _plan(self, media: Media) -> _Plan:
        rules = tuple(rule for rule in self._constitution.rules if media.kind in rule.modalities)
        needed = dict.fromkeys(name for rule in rules for name in names(self._constitution.expression(rule.id)))
        domain = self._engine.info.domain
        statements = {DOMAIN_ID: domain.statement} if domain and needed else {}
        statements |= {name: self._constitution.precondition(name).statement for name in needed}
        kept = sample_evenly(len(media.frames), self._config.max_frames)
        return _Plan(media, tuple(media.frames[index] for index in kept), rules, statements)

    async def _ask(self, plans: Sequence[_Plan]) -> list[Sequence[FrameAnswers] | EngineError]:
        """All plans in one call; if that fails, one by one, so that only those that fail alone stay unanswered."""
        try:
            return [*await self._ask_together(plans)]
        except EngineError:
            answers: list[Sequence[FrameAnswers] | EngineError] = []
        for plan in plans:
            try:
                answers += await self._ask_together([plan])
            except EngineError as error:
                answers.append(error)
        return answers

    async def _ask_together(self, plans: Sequence[_Plan]) -> list[Sequence[FrameAnswers]]:
        batch = [FrameQuestions(frame, plan.statements) for plan in plans for frame in plan.frames]
        answers = iter(await self._stage.ask(batch))
        return [[next(answers) for _ in plan.frames] for plan in plans]

    def _verdict(self, plan: _Plan, answers: Sequence[FrameAnswers] | EngineError, ask_ms: float) -> Verdict:
        decided_at = time.perf_counter()
        rules = tuple(self._decide_rule(rule, plan, answers) for rule in plan.rules)
        decision = decide(rules)
        answered = [] if isinstance(answers, EngineError) else answers
        return Verdict(
            media_id=plan.media.id,
            constitution=f"{self._constitution.name}@{self._constitution.version}",
            decision=decision.label,
            flagged=decision.flagged,
            score=decision.score,
            category_scores=decision.category_scores,
            rules=rules,
            model=self._engine.info.name,
            notices=self._notices(plan, answered),
            reason=decision.reason,
            versions=self._versions(),
            usage=sum((each.usage for each in answered), Usage()),
            timings_ms={"ask": ask_ms, "decide": _ms_since(decided_at)},
        )

    def _decide_rule(self, rule: Rule, plan: _Plan, answers: Sequence[FrameAnswers] | EngineError) -> RuleDecision:
        if isinstance(answers, EngineError):
            return self._unasked(rule, f"the engine failed: {answers}")
        if not plan.frames:
            return self._unasked(rule, "the media has no frames")
        per_frame = []
        for frame, answer in zip(plan.frames, answers, strict=True):
            decision = decide_rule(self._constitution, rule, answer.evidence, frame.index)
            outside = self._outside_domain(answer.evidence)
            per_frame.append(abstain(decision, outside) if outside else decision)
        return merge_frames(per_frame)

    def _unasked(self, rule: Rule, reason: str) -> RuleDecision:
        return abstain(decide_rule(self._constitution, rule, {}, 0), reason)

    def _outside_domain(self, evidence: Mapping[str, Evidence]) -> str:
        """Why a frame cannot be judged by this model; empty if it can."""
        domain = self._engine.info.domain
        if domain is None:
            return ""
        readings = evidence[DOMAIN_ID].readings
        if readings is None or readings.mass < self._config.thresholds.min_mass:
            return f"the model did not say whether this is in its domain ({domain.description}); {domain.hint}"
        if readings.observed < domain.min_probability:
            return f"outside the model's domain ({domain.description}); {domain.hint}"
        return ""

    def _notices(self, plan: _Plan, answers: Sequence[FrameAnswers]) -> tuple[str, ...]:
        info = self._engine.info
        notices = [NO_GUARANTEE]
        if info.domain:
            notices.append(f"{info.name} judges only its domain: {info.domain.description}")
            notices += _domain_reading(info.domain, [each.evidence for each in answers])
        if len(plan.frames) < len(plan.media.frames):
            notices.append(f"{len(plan.frames)} of {len(plan.media.frames)} frames were judged, spread evenly")
        return tuple(notices)

    def _versions(self) -> Versions:
        return Versions(
            package=__version__,
            model=self._engine.info.digest,
            runtime=self._engine.info.runtime,
            constitution=self._constitution.digest,
            templates=self._templates,
            thresholds=self._config.thresholds.digest,
        )


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


def _ms_since(start_s: float) -> float:
    return (time.perf_counter() - start_s) * 1000.0
