"""VHD11K's annotation: is this media harmful under the whole constitution, by debate. Batches in, annotations out.

Not here: files (`annotation_file`), tables in VHD11K's columns (`vhd11k`).
Source of the protocol: VHD11K (arXiv 2409.19734).
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from judge.bench.policy_vote import ENGINE_FAILED as VOTE_FAILED
from judge.bench.policy_vote import hold_votes
from judge.config import DebateSettings, JudgeConfig
from judge.constitution import Constitution
from judge.errors import AnswerError, EngineError, JudgeError, MediaError
from judge.media.image import sample_evenly
from judge.media.sampling import uniform
from judge.prompts.debate import JudgedExample, Subject
from judge.prompts.render import precondition_prompt, template_digest
from judge.stages.cast import Cast, Motion, check_cast
from judge.stages.debate import hold_debates, usage_of
from judge.stages.questions import choose, usable_yes
from judge.stages.retry import ask_each
from judge.stages.ruling import Ruling, join_orders
from judge.stages.speech import parse_answer
from judge.types import Debate, Domain, Frame, InputError, Media, Probability, Usage
from judge.types.annotation import ERROR, NO, NONE, YES
from judge.types.names import Wire

Decision = Literal["yes", "no", "none", "error"]
"""harmful, unharmful, undecided, and not judged at all."""
_DECISIONS: dict[str, Decision] = {"satisfied": YES, "rejected": NO, "undecided": NONE}
_ENGINE_FAILED = "the engine failed"


class MediaAnnotation(Wire):
    """One piece of media, whatever happened to it."""

    input: str
    """As the caller named it."""
    decision: Decision
    """yes = harmful, no = unharmful, none = undecided, error = not judged at all."""
    harmful_type: str = ""
    """The category the judge named; of an unharmful one, its reason."""
    probability: Probability | None = None
    """That it is harmful; None if there is nothing to rely on."""
    refused: bool = False
    """The judge refused, and so it is undecided; or it refused or cannot be read, and the settings call that harm."""
    reason: str = ""
    """Why it is undecided; empty otherwise."""
    error: InputError | None = None
    """Why it was not judged; None if it was."""
    media_id: str = ""
    """sha256 of the bytes."""
    debates: tuple[Debate, ...] = ()
    """One per speaking order."""
    vote: Debate | None = None
    """The vote of equal cost in calls, if there was one; it has no part in the decision."""
    usage: Usage = Usage()
    """What the debates cost, and the check of the model's domain."""
    vote_usage: Usage = Usage()
    """What the vote cost."""
    seconds: float = 0.0
    """Time of its batch without votes, shared evenly by the media in it."""
    vote_seconds: float = 0.0
    """The same of the votes."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Media to annotate, and the examples that are shown with it."""

    name: str
    media: Media
    examples: tuple[JudgedExample, ...] = ()


class Annotator:
    """Annotates under one constitution. The engines stay the caller's to close.

    Args:
        cast: Who plays which role.
        constitution: What harmful means.
        config: `cascade.debate`, `thresholds`, and `video.clips.frames` count.
        examples: Shown with media, or the most that will be.
        vote: Whether to hold a vote beside every debate.

    Raises:
        ConfigError: A model cannot play its role.
    """

    def __init__(
        self,
        cast: Cast,
        constitution: Constitution,
        config: JudgeConfig,
        *,
        examples: Sequence[JudgedExample] = (),
        vote: bool = False,
    ) -> None:
        self._cast = cast
        self._constitution = constitution
        self._config = config
        self._settings: DebateSettings = config.cascade.debate
        self._vote = vote
        self._examples = tuple(examples)
        check_cast(cast, self._settings, examples=examples)

    @property
    def name(self) -> str:
        """The model, and the beginning of `digest`, as a table carries it."""
        return f"{self._cast.engine.info.name} {self.digest[:12]}"

    @property
    def digest(self) -> str:
        """sha256 (hex) of all that an annotation depends on beside its media."""
        info, config = self._cast.engine.info, self._config
        parts = (
            info.digest, info.runtime, self._cast.digest, self._constitution.digest, template_digest("debate"),
            self._settings.model_dump_json(), config.thresholds.digest, str(config.video.clips.frames), str(self._vote),
            *(_example_digest(example) for example in self._examples),
        )  # fmt: skip
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    async def annotate(self, asked: Sequence[Asked]) -> list[MediaAnnotation]:
        """One annotation each, in order. What fails stays with its media."""
        started_at = time.perf_counter()
        found: dict[int, MediaAnnotation] = {}
        motions: dict[int, Motion] = {}
        for place, each in enumerate(asked):
            try:
                motions[place] = self._motion(each)
            except JudgeError as error:
                found[place] = failed(each.name, error, each.media.id)
        checks = dict(zip(motions, await self._check_domain([*motions.values()]), strict=True))
        for place, reason in checks.items():
            if reason:
                found[place] = self._outside(asked[place], motions.pop(place), reason)
        debates = await hold_debates(self._cast, [*motions.values()], self._settings, self._config.thresholds)
        seconds = (time.perf_counter() - started_at) / max(len(asked), 1)
        for (place, motion), held in zip(motions.items(), debates, strict=True):
            found[place] = self._annotation(asked[place], motion, held)
        found = {place: each.model_copy(update={"seconds": seconds}) for place, each in found.items()}
        if self._vote:
            found |= await self._with_votes(found, motions)
        return [found[place] for place in range(len(asked))]

    def _motion(self, asked: Asked) -> Motion:
        media = asked.media
        rules = [rule for rule in self._constitution.rules if media.kind in rule.modalities]
        if not rules:
            raise MediaError(f"'{asked.name}': no rule of '{self._constitution.name}' is about {media.kind}s")
        frames = frames_of(media, self._config.video.clips.frames)
        if not frames:
            raise MediaError(f"'{asked.name}' has no frames")
        check_cast(self._cast, self._settings, examples=asked.examples, frames=len(frames))
        subject = Subject(
            "policy",
            tuple(rule.statement for rule in rules),
            categories=tuple(dict.fromkeys(rule.category for rule in rules)),
            clip=media.kind == "video",
        )
        return Motion(subject, frames, asked.examples, media)

    async def _check_domain(self, motions: Sequence[Motion]) -> list[str]:
        """Per motion, why this model cannot judge it; empty if it can."""
        engine = self._cast.engine
        domain = engine.info.domain
        if domain is None:
            return [""] * len(motions)
        frames = [frame for motion in motions for frame in motion.frames]
        prompts = [precondition_prompt(domain.statement, (frame,), engine.info.question_format) for frame in frames]
        answers = iter(await ask_each(lambda part: choose(engine, part), prompts))
        min_mass = self._config.thresholds.min_mass
        reasons = []
        for motion in motions:
            found = [next(answers) for _ in motion.frames]
            broken = [f"{_ENGINE_FAILED}: {each}" for each in found if isinstance(each, EngineError)]
            read = [None if isinstance(each, JudgeError) else usable_yes(each, min_mass) for each in found]
            reasons.append(broken[0] if broken else _outside_domain(domain, read))
        return reasons

    def _outside(self, asked: Asked, motion: Motion, reason: str) -> MediaAnnotation:
        if reason.startswith(_ENGINE_FAILED):
            return failed(asked.name, EngineError(reason), asked.media.id)
        usage = Usage(questions=len(motion.frames))
        return MediaAnnotation(input=asked.name, decision=NONE, reason=reason, media_id=asked.media.id, usage=usage)

    def _annotation(self, asked: Asked, motion: Motion, debates: tuple[Debate, ...]) -> MediaAnnotation:
        broken = [debate.reason for debate in debates if debate.reason.startswith(_ENGINE_FAILED)]
        ruling = join_orders(debates, self._settings, self._config.thresholds)
        found = failed(asked.name, EngineError(broken[0])) if broken else _ruled(asked.name, ruling, debates)
        usage = sum((usage_of(debate) for debate in debates), Usage())
        if self._cast.engine.info.domain:
            usage += Usage(questions=len(motion.frames))
        return found.model_copy(update={"media_id": asked.media.id, "debates": debates, "usage": usage})

    async def _with_votes(
        self, found: dict[int, MediaAnnotation], motions: dict[int, Motion]
    ) -> dict[int, MediaAnnotation]:
        started_at = time.perf_counter()
        votes = await hold_votes(self._cast, [*motions.values()], self._settings)
        seconds = (time.perf_counter() - started_at) / max(len(motions), 1)
        return {
            place: found[place].model_copy(
                update={"vote": vote, "vote_usage": _vote_usage(vote), "vote_seconds": seconds}
            )
            for place, vote in zip(motions, votes, strict=True)
        }


def failed(name: str, error: JudgeError, media_id: str = "") -> MediaAnnotation:
    """The annotation of an input that was not judged."""
    shown = InputError(code=error.code, message=error.message, hint=error.hint)
    return MediaAnnotation(input=name, decision=ERROR, error=shown, media_id=media_id)


def vote_decision(vote: Debate) -> Decision:
    """What a vote came to."""
    return ERROR if vote.reason.startswith(VOTE_FAILED) else _DECISIONS[vote.outcome]


def _vote_usage(vote: Debate) -> Usage:
    """These voters write; nothing is read of them."""
    return Usage(
        prompt_tokens=vote.prompt_tokens, completion_tokens=vote.completion_tokens, generations=len(vote.turns)
    )


def _example_digest(example: JudgedExample) -> str:
    pixels = [hashlib.sha256(frame.image.tobytes()).hexdigest() for frame in example.frames]
    return " ".join([example.answer, *pixels])


def frames_of(media: Media, count: int) -> tuple[Frame, ...]:
    """At most so many frames, evenly spread; those of a video that has none in memory are read.

    Raises:
        MediaError: A frame cannot be decoded.
    """
    if media.frames or media.video is None:
        return tuple(media.frames[place] for place in sample_evenly(len(media.frames), count))
    return tuple(media.video.read(uniform(media.video.info, count)))


def _outside_domain(domain: Domain, read: Sequence[float | None]) -> str:
    if any(probability is None for probability in read):
        return f"the model did not say whether this is in its domain ({domain.description})"
    if any(probability is not None and probability < domain.min_probability for probability in read):
        return f"outside the model's domain ({domain.description})"
    return ""


def _ruled(name: str, ruling: Ruling, debates: Sequence[Debate]) -> MediaAnnotation:
    last = [next((turn for turn in reversed(each.turns) if turn.speaker == "judge"), None) for each in debates]
    withheld = any(turn is not None and turn.refused for turn in last)
    refused = not ruling.answer and (ruling.outcome == "satisfied" or (ruling.outcome == "undecided" and withheld))
    return MediaAnnotation(
        input=name,
        decision=_DECISIONS[ruling.outcome],
        harmful_type=_detail(ruling),
        probability=None if refused else ruling.probability,
        refused=refused,
        reason=ruling.reason,
    )


def _detail(ruling: Ruling) -> str:
    """What stands behind the judge's Yes or No; nothing for what is undecided."""
    if ruling.outcome == "undecided":
        return ""
    try:
        return parse_answer(ruling.answer).detail
    except AnswerError:
        return ""
