"""The cascade's questions and answers, with a stage that answers from a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from judge.config import Cascade, JudgeConfig, Thresholds
from judge.constitution import parse_constitution
from judge.engines.base import ModelInfo
from judge.engines.scripted import Answer, ScriptedEngine
from judge.errors import AnswerError, EngineError, JudgeError
from judge.pipeline import Judge
from judge.stages.escalation import Limits, OpenQuestion, Settlement
from judge.stages.prior_store import PriorStore
from judge.types import Domain, Evidence, Frame, Media, Outcome, Prompt, Usage, Verdict

POLICY = parse_constitution(
    """
name: small
version: "1"
categories: {harm: {title: Harm}}
preconditions:
  knife: {statement: A knife is visible.}
  person: {statement: A person is visible.}
  food: {statement: Food is visible.}
  blood: {statement: Blood is visible.}
rules:
  threat:
    {category: harm, severity: high, text: t, statement: A threat., violated_when: knife and person and not food}
  gore:
    {category: harm, severity: high, text: t, statement: Gore., violated_when: blood and person}
""",
    source="small",
)
FOUND: Mapping[Outcome, float] = {"satisfied": 0.95, "rejected": 0.05, "undecided": 0.5}


@dataclass
class Table:
    """A slow stage that knows the outcome of every precondition by its id, or fails."""

    outcomes: Mapping[str, Outcome | Exception]
    limits: Limits = field(default_factory=Limits)
    one_at_a_time: bool = False
    tests_satisfied: bool = False
    takes_clips: bool = False
    name: str = "the table"
    model_digest: str = ""
    rounds: list[list[tuple[int, str]]] = field(default_factory=list)

    async def settle(self, questions: Sequence[OpenQuestion]) -> list[Settlement]:
        self.rounds.append([(question.frame.index, question.precondition.id) for question in questions])
        return [self._settle(question) for question in questions]

    def _settle(self, question: OpenQuestion) -> Settlement:
        outcome = self.outcomes[question.precondition.id]
        if isinstance(outcome, Exception):
            raise outcome
        changed = {"stage": "chain_of_thought", "outcome": outcome, "probability": FOUND[outcome], "reason": ""}
        return Settlement(question.evidence.model_copy(update=changed), Usage(generations=1, completion_tokens=10))


def pictures(*grays: int) -> list[Media]:
    return [
        Media(str(gray), "image", (Frame(0, 0.0, np.full((2, 2, 3), gray, dtype=np.uint8)),), 0.0) for gray in grays
    ]


def clip(*grays: int) -> Media:
    frames = tuple(Frame(n, n / 10, np.full((2, 2, 3), gray, dtype=np.uint8)) for n, gray in enumerate(grays))
    return Media("clip", "video", frames, len(grays) / 10)


def judge(
    readings: Mapping[str, float | Answer | Callable[..., float]],
    *stages: Table,
    cascade: Cascade | None = None,
    domain: Domain | None = None,
) -> Judge:
    config = JudgeConfig(thresholds=Thresholds(preset="none"), cascade=cascade or Cascade())
    engine = ScriptedEngine(dict(readings), default=0.0, info=ModelInfo("pen", "digest", domain))
    return Judge(engine, POLICY, config, priors=PriorStore(), stages=stages)


def outcomes(verdict: Verdict) -> dict[str, str]:
    return {rule.rule_id: rule.outcome for rule in verdict.rules}


def history(verdict: Verdict, rule: int, name: str) -> list[Evidence]:
    return [item for item in verdict.rules[rule].evidence if item.precondition_id == name]


async def test_what_is_settled_already_is_not_asked_again() -> None:
    stage = Table({})
    (verdict,) = await judge({"knife": 0.9, "person": 0.9}, stage).judge(pictures(0))
    assert stage.rounds == []
    assert verdict.usage.generations == 0


async def test_only_what_is_undecided_and_can_change_a_rule_is_asked() -> None:
    """Blood is ruled out, so `gore` no longer depends on anything; food is sure."""
    stage = Table({"knife": "satisfied", "person": "satisfied"})
    (verdict,) = await judge({"knife": 0.5, "person": 0.6}, stage).judge(pictures(0))
    assert stage.rounds == [[(0, "knife"), (0, "person")]]
    assert outcomes(verdict) == {"threat": "violated", "gore": "not_violated"}
    assert (verdict.rules[0].stage, verdict.rules[1].stage) == ("chain_of_thought", "token_probability")
    assert verdict.usage.generations == 2
    assert verdict.timings_ms.keys() == {"ask", "the table", "decide"}


async def test_evidence_of_every_stage_is_kept_and_the_last_one_counts() -> None:
    stage = Table({"knife": "rejected"})
    (verdict,) = await judge({"knife": 0.5, "person": 0.9}, stage).judge(pictures(0))
    assert [(item.stage, item.outcome, item.probability) for item in history(verdict, 0, "knife")] == [
        ("token_probability", "undecided", 0.5),
        ("chain_of_thought", "rejected", 0.05),
    ]
    assert (verdict.decision, verdict.rules[0].score) == ("safe", pytest.approx(0.05 * 0.9))


async def test_one_at_a_time_stops_a_rule_at_its_first_rejection() -> None:
    """The likeliest No comes first; a shared precondition is asked once."""
    readings = {"knife": 0.5, "person": 0.4, "Blood": 0.6}
    stage = Table({"person": "rejected"}, one_at_a_time=True)
    (verdict,) = await judge(readings, stage).judge(pictures(0))
    assert stage.rounds == [[(0, "person")]]
    assert verdict.decision == "safe"
    assert verdict.usage.generations == 1


async def test_one_at_a_time_goes_on_where_the_answer_was_yes() -> None:
    readings = {"knife": 0.5, "person": 0.4}
    stage = Table({"person": "satisfied", "knife": "undecided"}, one_at_a_time=True)
    (verdict,) = await judge(readings, stage).judge(pictures(0))
    assert stage.rounds == [[(0, "person")], [(0, "knife")]]
    assert verdict.decision == "uncertain"


async def test_media_share_the_rounds() -> None:
    stage = Table({"knife": "satisfied"})
    await judge({"knife": 0.5, "person": 0.9}, stage).judge(pictures(1, 2, 3))
    assert stage.rounds == [[(0, "knife")] * 3]


@pytest.mark.parametrize(("thorough", "rounds"), [(False, []), (True, [[(0, "blood")]])])
async def test_a_decided_verdict_is_looked_into_further_only_when_thorough(
    thorough: bool, rounds: list[list[tuple[int, str]]]
) -> None:
    stage = Table({"blood": "satisfied"})
    readings = {"knife": 0.9, "person": 0.9, "Blood": 0.5}
    await judge(readings, stage, cascade=Cascade(thorough=thorough)).judge(pictures(0))
    assert stage.rounds == rounds


async def test_frames_are_asked_apart_and_a_violated_rule_on_one_of_them_is_enough() -> None:
    stage = Table({"knife": "satisfied"})

    def bright(prompt: object) -> float:
        return 0.5 if prompt.frames[0].image[0, 0, 0] > 100 else 0.0  # type: ignore[attr-defined]

    (verdict,) = await judge({"knife": bright, "person": 0.9}, stage).judge([clip(0, 200, 201)])
    assert stage.rounds == [[(1, "knife"), (2, "knife")]]
    assert (verdict.decision, verdict.rules[0].frame_index) == ("unsafe", 1)


async def test_the_limit_of_questions_leaves_the_rest_open_and_says_so() -> None:
    stage = Table({"knife": "satisfied"}, limits=Limits(questions=1))
    (verdict,) = await judge({"knife": 0.5, "person": 0.6}, stage).judge(pictures(0))
    assert stage.rounds == [[(0, "knife")]]
    assert verdict.decision == "uncertain"
    assert "person: probability 0.60 lies between 0.20 and 0.80; the limit of the table for one media" in verdict.reason


async def test_the_limit_of_tokens_is_looked_at_before_every_round() -> None:
    stage = Table({"person": "satisfied"}, limits=Limits(completion_tokens=10), one_at_a_time=True)
    (verdict,) = await judge({"knife": 0.5, "person": 0.4}, stage).judge(pictures(0))
    assert stage.rounds == [[(0, "person")]]
    assert verdict.decision == "uncertain"


async def test_a_question_that_fails_spoils_only_itself() -> None:
    stage = Table({"knife": EngineError("out of memory"), "person": "rejected"})
    (verdict,) = await judge({"knife": 0.5, "person": 0.6}, stage).judge(pictures(0))
    assert stage.rounds == [[(0, "knife"), (0, "person")], [(0, "knife")], [(0, "person")]]
    assert verdict.decision == "safe"


@pytest.mark.parametrize("error", [EngineError("out of memory"), AnswerError("the server withheld its text")])
async def test_a_failure_is_never_an_answer_and_stays_with_its_question(error: JudgeError) -> None:
    stage = Table({"knife": error})

    def dark(prompt: Prompt) -> float:
        return 0.5 if prompt.frames[0].image[0, 0, 0] == 0 else 0.1

    failed, other = await judge({"knife": dark, "person": 0.9}, stage).judge(pictures(0, 255))
    assert (failed.decision, failed.flagged, other.decision) == ("uncertain", None, "safe")
    assert failed.reason.endswith(f"0.80; the engine failed in the table: {error}")


async def test_a_stage_that_tests_what_was_accepted_can_take_it_back() -> None:
    stage = Table({"knife": "undecided", "person": "satisfied"}, tests_satisfied=True)
    (verdict,) = await judge({"knife": 0.9, "person": 0.9}, stage).judge(pictures(0))
    assert stage.rounds == [[(0, "knife"), (0, "person")]]
    assert (verdict.decision, verdict.rules[0].outcome) == ("uncertain", "abstained")


async def test_stages_follow_one_another() -> None:
    first, second = Table({"knife": "undecided", "person": "satisfied"}), Table({"knife": "satisfied"}, name="second")
    (verdict,) = await judge({"knife": 0.5, "person": 0.6}, first, second).judge(pictures(0))
    assert (first.rounds, second.rounds) == ([[(0, "knife"), (0, "person")]], [[(0, "knife")]])
    assert verdict.decision == "unsafe"


async def test_media_outside_the_domain_or_unanswered_are_not_escalated() -> None:
    stage = Table({})
    domain = Domain("The picture is a drawing.", "drawings")
    await judge({"knife": 0.5, "person": 0.5, "drawing": 0.1}, stage, domain=domain).judge(pictures(0))

    def fails(prompt: object) -> float:
        raise EngineError("no")

    (verdict,) = await judge({"knife": fails}, stage).judge(pictures(0))
    assert (stage.rounds, verdict.decision) == ([], "uncertain")


@pytest.mark.parametrize(
    ("whole", "outcome", "stage", "score"),
    [
        (0.99, "violated", "rule_whole", 0.9242),  # the mean of the logits 0.4055 and 4.5951
        (0.01, "not_violated", "rule_whole", 0.1096),
        (0.5, "abstained", "none", 0.5505),
    ],
)
async def test_a_reading_of_the_whole_rule_is_mixed_in(whole: float, outcome: str, stage: str, score: float) -> None:
    readings = {"Statement: A knife": 0.6, "Statement: A person": 1.0, "not be shown. A threat.": whole}
    (verdict,) = await judge(readings, cascade=Cascade(holistic_weight=0.5)).judge(pictures(0))
    threat = verdict.rules[0]
    assert (threat.outcome, threat.stage, threat.score) == (outcome, stage, pytest.approx(score, abs=1e-3))
    assert (threat.evidence[-1].stage, threat.evidence[-1].probability) == ("rule_whole", whole)


async def test_a_missing_answer_is_not_outvoted_by_the_whole() -> None:
    readings = {
        "Statement: A knife": Answer(0.5, mass=0.1),
        "Statement: A person": 1.0,
        "not be shown. A threat.": 0.01,
    }
    (verdict,) = await judge(readings, cascade=Cascade(holistic_weight=0.9)).judge(pictures(0))
    assert verdict.decision == "uncertain"
