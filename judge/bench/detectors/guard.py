"""Guard models on our engines, asked as they were trained to be: does the picture break this policy?

The policy is a constitution: the statements of its rules about pictures. The score is the probability of the first
token that means "unsafe" among those that mean either answer. One question per picture by default; with `ask: category`
one per category, and the score is the highest. What is known of each model is in `judge/profiles.yaml`.
Sources: LlavaGuard (arXiv 2406.05113), Shieldstral (arXiv 2607.25857).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

from pydantic import ValidationError

from judge.assets import constitution_path
from judge.bench.detectors.base import DetectorInfo, DetectorSettings, Prediction
from judge.bench.detectors.common_names import kinds_of
from judge.bench.detectors.frame_detector import FrameDetector, PictureScore
from judge.bench.detectors.options import read_options
from judge.bench.detectors.picture_detector import PictureOptions, digest_of
from judge.bench.detectors.pictures import PICTURES
from judge.config import EngineConfig, Fraction, OpenAIOptions, first_problem
from judge.constitution import Constitution, load_constitution
from judge.engines.base import Engine
from judge.engines.build import build_engine
from judge.errors import AnswerError, ConfigError, ConstitutionError
from judge.prompts.render import policy_prompt, templates_digest
from judge.sources.categories import Category
from judge.stages.questions import choose, read_yes
from judge.types import ChoiceProbabilities, Frame, Usage


class GuardOptions(PictureOptions):
    """Options of guard models."""

    constitution: str = ""
    """A built-in policy or a file; empty = the detector's own."""
    ask: Literal["policy", "category"] = "policy"
    """One question per picture, or one per category of the policy, for scores by kind of harm."""
    engine: Literal["transformers", "vllm"] | None = None
    """Where it runs; null = as its profile says. With a `base_url` it is asked of a server."""
    dtype: str = "auto"
    """Number type, as the engines have it."""
    min_mass: Fraction = 0.5
    """Less probability than this on the two answers together is no answer: an abstention."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question about every picture: the statements of a policy, and the kinds of harm that an answer is about."""

    statements: tuple[str, ...]
    kinds: frozenset[Category]


class GuardDetector(FrameDetector):
    """A guard model and a policy. The engine is closed with it.

    Args:
        engine: A model with a question format of its own.
        asked: One question for the whole policy, or one per category.
        info: See `FrameDetector`.
        options: See `GuardOptions`.
        batch: See `FrameDetector`.
    """

    profile: ClassVar[str]
    constitution: ClassVar[str]
    source: ClassVar[str]

    def __init__(
        self, engine: Engine, asked: Sequence[Asked], info: DetectorInfo, *, options: GuardOptions, batch: int
    ) -> None:
        super().__init__(info, batch=batch, max_frames=options.max_frames)
        self._engine = engine
        self._asked = tuple(asked)
        self._options = options

    @classmethod
    def from_settings(cls, settings: DetectorSettings) -> Self:
        options = read_options(GuardOptions, settings, uses=("model", "base_url", "api_key_env", "device"))
        policy = _policy(options.constitution or cls.constitution)
        asked = questions(policy, options.ask)
        engine = build_engine(_engine_config(settings, options, cls.profile))
        assert engine.info.question_format is not None, "the profile of a guard model has one"
        info = cls._describe(settings, options, engine, policy)
        return cls(engine, asked, info, options=options, batch=settings.batch)

    @classmethod
    def _describe(
        cls, settings: DetectorSettings, options: GuardOptions, engine: Engine, policy: Constitution
    ) -> DetectorInfo:
        threshold = 0.5 if settings.threshold is None else settings.threshold
        model = engine.info
        parts = (f"{threshold!r}", model.digest, model.runtime, policy.digest, templates_digest(model.question_format))
        return DetectorInfo(
            name=settings.label or f"{settings.name}({model.name}, {policy.name}, {threshold:g})",
            digest=digest_of(settings, *parts, options=options, files=("constitution",)),
            modalities=PICTURES,
            categories=frozenset().union(*(each.kinds for each in questions(policy, "category"))),
            threshold=threshold,
            source=cls.source,
        )

    async def score_frames(self, frames: Sequence[Frame]) -> list[PictureScore | Prediction]:
        style = self._engine.info.question_format
        prompts = [policy_prompt(each.statements, (frame,), style) for frame in frames for each in self._asked]
        answers = iter(await choose(self._engine, prompts))
        return [self._read([next(answers) for _ in self._asked]) for _ in frames]

    async def close(self) -> None:
        await self._engine.close()

    def _read(self, answers: Sequence[ChoiceProbabilities]) -> PictureScore | Prediction:
        usage = Usage(prompt_tokens=sum(each.prompt_tokens for each in answers), questions=len(answers))
        mass = min(each.mass for each in answers)
        if mass < self._options.min_mass:
            reason = f"the model hardly answered: only {mass:.2f} of its probability is on safe or unsafe"
            return Prediction(None, None, reason=reason, usage=usage)
        try:
            scores = [read_yes(each).observed for each in answers]
        except AnswerError as error:
            return Prediction(None, None, reason=error.message, failed=True, usage=usage)
        return PictureScore(max(scores), self._by_kind(scores), usage)

    def _by_kind(self, scores: Sequence[float]) -> Mapping[Category, float]:
        """Nothing where all kinds were asked about together."""
        if self._options.ask == "policy":
            return {}
        highest: dict[Category, float] = {}
        for each, score in zip(self._asked, scores, strict=True):
            highest |= {kind: max(score, highest.get(kind, 0.0)) for kind in sorted(each.kinds)}
        return highest


class LlavaGuard(GuardDetector):
    """LlavaGuard 1.2, which answers Safe or Unsafe."""

    profile = "llavaguard-7b"
    constitution = "llavaguard"
    source = "arXiv 2406.05113"


class Shieldstral(GuardDetector):
    """Shieldstral 1.0, which answers yes or no."""

    profile = "shieldstral-3b"
    constitution = "general"
    source = "arXiv 2607.25857"


def questions(policy: Constitution, ask: Literal["policy", "category"]) -> tuple[Asked, ...]:
    """What is asked about a picture: rules about other media are left out.

    Raises:
        ConfigError: No rule is about pictures.
    """
    by_category = [
        Asked(
            tuple(r.statement for r in policy.rules if r.category == category.id and "image" in r.modalities),
            frozenset(kinds_of(category)),
        )
        for category in policy.categories
    ]
    used = tuple(each for each in by_category if each.statements)
    if not used:
        raise ConfigError(f"constitution '{policy.name}' has no rule about pictures")
    if ask == "category":
        return used
    # In the order of the rules, not of the categories: it is part of the constitution's digest.
    statements = tuple(rule.statement for rule in policy.rules if "image" in rule.modalities)
    return (Asked(statements, frozenset[Category]().union(*(each.kinds for each in used))),)


def _policy(name: str) -> Constitution:
    try:
        return load_constitution(constitution_path(name))
    except ConstitutionError as error:
        raise ConfigError(f"constitution '{name}': {error.message}", hint=error.hint) from error


def _engine_config(settings: DetectorSettings, options: GuardOptions, profile: str) -> EngineConfig:
    """The profile's engine, or a server that holds the model."""
    chosen: dict[str, object] = {"model": settings.model or profile, "device": settings.device}
    chosen |= {"profile": profile} if settings.model else {}
    chosen |= {"name": options.engine} if options.engine else {}
    chosen |= {"dtype": options.dtype} if options.dtype != "auto" else {}
    try:
        if settings.base_url:
            server = OpenAIOptions(base_url=settings.base_url, api_key_env=settings.api_key_env)
            chosen |= {"name": "openai", "openai": server}
        elif settings.api_key_env:
            raise ConfigError(f"detector '{settings.name}' has a key but no base_url to send it to")
        return EngineConfig.model_validate(chosen)
    except ValidationError as error:
        raise ConfigError(f"detector '{settings.name}': {first_problem(error)}") from error
