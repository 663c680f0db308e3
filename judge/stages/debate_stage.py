"""The debate as the last stage of the cascade: about a precondition, or about a rule that is open as a whole.

Not here: how a debate is held (`judge.stages.debate`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from judge.config import DebateSettings, Thresholds
from judge.constitution import Rule
from judge.prompts.debate import JudgedExample, Subject
from judge.prompts.posted import posted_digest
from judge.prompts.render import template_digest
from judge.stages.board import Decider, FrameBoard, MediaBoard
from judge.stages.cast import Cast, Motion, check_cast
from judge.stages.debate import hold_debates, usage_of
from judge.stages.escalation import Limits, OpenQuestion, Settlement
from judge.stages.questions import with_reference
from judge.stages.ruling import Ruling, join_orders
from judge.types import Debate, Evidence, Media, Readings, RuleDecision, Turn, Usage

_LIMIT = "the limit of debate for one media is reached"


class DebateStage:
    """Debates open preconditions. See `judge.stages.escalation.SlowStage`; never raises for an engine that fails.

    Args:
        cast: Who plays which role.
        settings: How long, and how much.
        thresholds: `accept`, `reject` and `min_mass` count, whatever the preset.
        clock: For `time_budget_s`, which runs anew with every round of the cascade.

    Raises:
        ConfigError: See `check_cast`.
    """

    name = "debate"
    one_at_a_time = True
    tests_satisfied = False
    takes_clips = True

    def __init__(
        self,
        cast: Cast,
        settings: DebateSettings,
        thresholds: Thresholds,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        check_cast(cast, settings)
        self._cast = cast
        self._settings = settings
        self._thresholds = thresholds
        self._clock = clock

    @property
    def model_digest(self) -> str:
        return self._cast.digest

    @property
    def limits(self) -> Limits:
        return Limits(self._settings.max_questions, self._settings.token_budget)

    async def settle(self, questions: Sequence[OpenQuestion]) -> list[Settlement]:
        motions = [_motion(question) for question in questions]
        held = await hold_debates(self._cast, motions, self._settings, self._thresholds, clock=self._clock)
        return [self._settlement(*each) for each in zip(questions, held, strict=True)]

    def _settlement(self, question: OpenQuestion, debates: tuple[Debate, ...]) -> Settlement:
        ruling = join_orders(debates, self._settings, self._thresholds)
        before = question.evidence
        found: dict[str, object] = {
            "stage": "debate",
            "outcome": ruling.outcome,
            "reason": _reason(before.reason, ruling),
            "rationale": summary(debates),
            "debates": debates,
            "template_digest": _digest(self._cast, question.media),
        }
        if ruling.probability is not None:
            found["probability"] = ruling.probability
            found["readings"] = with_reference(before.readings, "debated", ruling.probability)
        return Settlement(before.model_copy(update=found), _usage(debates))


class RuleDebate:
    """Debates rules that their preconditions leave open; what it finds is on the boards (`FrameBoard.argued`).

    Args:
        cast: Who plays which role.
        settings: How long, and how much.
        thresholds: `accept`, `reject` and `min_mass` count, whatever the preset.
        examples: Media judged before, by rule id.

    Raises:
        ConfigError: See `check_cast`.
    """

    name = "debate"

    def __init__(
        self,
        cast: Cast,
        settings: DebateSettings,
        thresholds: Thresholds,
        *,
        examples: Mapping[str, Sequence[JudgedExample]] | None = None,
    ) -> None:
        self._examples = {rule: tuple(found) for rule, found in (examples or {}).items()}
        for found in (*self._examples.values(), ()):
            check_cast(cast, settings, examples=found)
        self._cast = cast
        self._settings = settings
        self._thresholds = thresholds

    @property
    def model_digest(self) -> str:
        return self._cast.digest

    async def argue(self, boards: Sequence[MediaBoard], decider: Decider) -> None:
        """All boards together; never raises for an engine that fails."""
        debated: list[tuple[MediaBoard, FrameBoard, Rule]] = []
        for board in boards:
            rules = iter(decider.open_rules(board))
            debated += [(board, frame, rule) for rule, frame in islice(rules, self._settings.max_questions)]
            for rule, frame in rules:
                frame.argued[rule.id] = _about(rule, decider.on_frame(rule, frame), frame, reason=_LIMIT)
        decisions = [decider.on_frame(rule, frame) for _, frame, rule in debated]
        motions = [
            self._motion(rule, decision, frame, board)
            for (board, frame, rule), decision in zip(debated, decisions, strict=True)
        ]
        held = await hold_debates(self._cast, motions, self._settings, self._thresholds)
        for (board, frame, rule), decision, debates in zip(debated, decisions, held, strict=True):
            board.usage += _usage(debates)
            frame.argued[rule.id] = self._evidence(rule, decision, frame, board.media, debates)

    def _motion(self, rule: Rule, decision: RuleDecision, frame: FrameBoard, board: MediaBoard) -> Motion:
        read = decision.evidence and all(item.readings is not None for item in decision.evidence)
        evidence = first_look(decision.score) if read else ""
        subject = Subject("rule", (rule.statement,), evidence, (rule.category,), clip=bool(frame.clip))
        return Motion(subject, frame.clip or (frame.frame,), self._examples.get(rule.id, ()), board.media)

    def _evidence(
        self, rule: Rule, decision: RuleDecision, frame: FrameBoard, media: Media, debates: tuple[Debate, ...]
    ) -> Evidence:
        ruling = join_orders(debates, self._settings, self._thresholds)
        found: dict[str, object] = {
            "outcome": ruling.outcome,
            "readings": _readings(debates, ruling),
            "rationale": summary(debates),
            "debates": debates,
            "template_digest": _digest(self._cast, media),
        }
        if ruling.probability is not None:
            found["probability"] = ruling.probability
        return _about(rule, decision, frame, reason=_reason("", ruling)).model_copy(update=found)


def first_look(probability: float) -> str:
    """What everybody in a debate is told of the readings before; the embedded model is trained on these words."""
    return f"a first look found this {round(100 * probability)} % likely."


def summary(debates: Sequence[Debate]) -> str:
    """One line per debate: who began, what the judge read after each round, and its answer."""
    return "\n".join(_summary(debate) for debate in debates)


def _summary(debate: Debate) -> str:
    read = [f"{turn.probability:.2f}" for turn in _judge_turns(debate) if turn.probability is not None]
    first = (debate.order or "").removesuffix("_first")
    return f"{first} first, P(Yes) {', '.join(read) or 'not read'}: {debate.answer or 'no answer'}"


def _motion(question: OpenQuestion) -> Motion:
    """A first reading that failed is no evidence."""
    before = question.evidence
    evidence = first_look(before.probability) if before.readings is not None else ""
    subject = Subject("precondition", (question.precondition.statement,), evidence, clip=bool(question.clip))
    return Motion(subject, question.frames, media=question.media)


def _digest(cast: Cast, media: Media | None) -> str:
    """Of what the judge of the debate was asked with."""
    return posted_digest(template_digest("debate"), cast.text_for("judge", media))


def _about(rule: Rule, decision: RuleDecision, frame: FrameBoard, *, reason: str) -> Evidence:
    """Undecided, with the score so far."""
    return Evidence(
        stage="debate",
        precondition_id=rule.id,
        statement=rule.statement,
        outcome="undecided",
        probability=decision.score,
        reason=reason,
        frame_indices=tuple(each.index for each in frame.clip or (frame.frame,)),
    )


def _readings(debates: Sequence[Debate], ruling: Ruling) -> Readings | None:
    """The judge's last reading of the first debate; None if it could not be read."""
    turns = _judge_turns(debates[0])
    if not turns or turns[-1].probability is None or turns[-1].mass is None:
        return None
    readings = Readings(observed=turns[-1].probability, mass=turns[-1].mass)
    return readings if ruling.probability is None else with_reference(readings, "debated", ruling.probability)


def _judge_turns(debate: Debate) -> list[Turn]:
    return [turn for turn in debate.turns if turn.speaker == "judge"]


def _reason(before: str, ruling: Ruling) -> str:
    """A debate without a number leaves the question as it was, so that the reasons before it stand."""
    if ruling.outcome != "undecided":
        return ""
    after = f"after debate, {ruling.reason}"
    return f"{before}; {after}" if before and ruling.probability is None else after


def _usage(debates: Sequence[Debate]) -> Usage:
    return sum((usage_of(debate) for debate in debates), Usage())
