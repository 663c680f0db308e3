"""The debate as a stage of the cascade, about preconditions and about rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from judge.config import Cascade, DebateRole, DebateSettings, EngineConfig, JudgeConfig, Thresholds
from judge.constitution import Precondition, parse_constitution
from judge.engines.base import Capabilities, Engine, ModelInfo
from judge.engines.scripted import ScriptedEngine, Written
from judge.errors import AnswerError, ConfigError, EngineError
from judge.pipeline import Judge
from judge.prompts.debate import JudgedExample
from judge.prompts.render import template_digest
from judge.stages.build import build_stages
from judge.stages.cast import Cast
from judge.stages.debate import usage_of
from judge.stages.debate_stage import DebateStage
from judge.stages.escalation import Limits, OpenQuestion
from judge.stages.prior_store import PriorStore
from judge.types import (
    Evidence,
    Media,
    Prompt,
    QuestionFormat,
    Readings,
    Usage,
    Verdict,
)
from tests.stages.court import (
    KNIFE,
    YES,
    debater,
    frame,
    rising,
)

# --- the stage ------------------------------------------------------------------------------------------------


def question(**changes: object) -> OpenQuestion:
    evidence = Evidence(
        stage="token_probability",
        precondition_id="knife",
        statement=KNIFE,
        outcome="undecided",
        probability=0.626,
        readings=Readings(observed=0.7, mass=0.9, prior=0.6),
        reason="in between",
        template_digest="first",
    )
    return OpenQuestion(frame(), Precondition(id="knife", statement=KNIFE), evidence.model_copy(update=changes))


async def settle(engine: Engine, asked: OpenQuestion | None = None, **settings: object) -> Evidence:
    stage = DebateStage(Cast(engine), DebateSettings.model_validate(settings), Thresholds())
    (settled,) = await stage.settle([asked or question()])
    assert settled.usage == sum((usage_of(each) for each in settled.evidence.debates), Usage())
    return settled.evidence


async def test_evidence_keeps_what_was_known_and_adds_the_debates() -> None:
    engine = debater(rising(0.5, 0.9))
    evidence = await settle(engine)
    assert evidence == question().evidence.model_copy(
        update={
            "stage": "debate",
            "outcome": "satisfied",
            "probability": 0.9,
            "readings": Readings(observed=0.7, mass=0.9, prior=0.6, references={"debated": 0.9}),
            "reason": "",
            "rationale": "affirmative first, P(Yes) 0.50, 0.90: Yes, a blade.",
            "debates": evidence.debates,
            "template_digest": template_digest("debate"),
        }
    )
    assert [debate.outcome for debate in evidence.debates] == ["satisfied"]
    text = engine.calls[0].prompts[0].messages[0].text
    assert "\nEvidence so far: a first look found this 63 % likely.\n" in text


async def test_a_first_look_that_failed_is_not_told() -> None:
    engine = debater(0.9)
    evidence = await settle(engine, question(readings=None, probability=0.5))
    assert "first look" not in engine.calls[0].prompts[0].messages[0].text
    assert (evidence.outcome, evidence.probability, evidence.readings) == ("satisfied", 0.9, None)


async def test_disagreeing_orders_leave_the_question_open_and_keep_both_debates() -> None:
    def last_word(prompt: Prompt) -> float:
        text = prompt.messages[0].text
        return 0.9 if text.rindex("Affirmative: ") > text.rindex("Negative: ") else 0.1

    def agreeing(prompt: Prompt) -> str:
        return "Yes, a blade." if last_word(prompt) > 0.5 else "No, a spoon."

    evidence = await settle(debater(last_word, judge=agreeing), orders="both")
    assert (evidence.outcome, evidence.probability) == ("undecided", pytest.approx(0.5))
    assert evidence.reason == (
        "after debate, the order of speaking decides: P(Yes) is 0.10 with the affirmative first, "
        "0.90 with the negative first"
    )
    assert [debate.outcome for debate in evidence.debates] == ["rejected", "satisfied"]
    assert evidence.rationale == (
        "affirmative first, P(Yes) 0.10: No, a spoon.\nnegative first, P(Yes) 0.90: Yes, a blade."
    )


@pytest.mark.parametrize("refusal", ["abstain", "harmful"])
async def test_a_refusing_judge_changes_no_number_of_a_precondition(refusal: str) -> None:
    evidence = await settle(debater(0.95, judge="I can't help with that."), refusal=refusal)
    assert (evidence.outcome, evidence.probability) == ("undecided", 0.626)
    assert evidence.readings == question().evidence.readings
    assert evidence.reason == "in between; after debate, the judge refused to answer"


def test_it_says_what_it_may_spend() -> None:
    stage = DebateStage(Cast(debater()), DebateSettings(max_questions=3, token_budget=100), Thresholds())
    assert (stage.limits, stage.model_digest) == (Limits(questions=3, completion_tokens=100), "")
    casts: list[Mapping[DebateRole, Engine]] = [
        {"judge": debater(name="chalk")},
        {"critic": debater(name="chalk")},
        {"judge": debater(name="ink")},
    ]
    digests = {DebateStage(Cast(debater(), panel), DebateSettings(), Thresholds()).model_digest for panel in casts}
    assert (len(digests), "" in digests) == (3, False)


# --- in the pipeline ------------------------------------------------------------------------------------------

POLICY = parse_constitution(
    """
name: small
version: "1"
categories: {harm: {title: Harm}}
preconditions:
  knife: {statement: A knife is visible.}
  person: {statement: A person is visible.}
rules:
  threat: {category: harm, severity: high, text: t, statement: A threat., violated_when: knife and person}
""",
    source="small",
)


def picture(gray: int = 0) -> Media:
    return Media(str(gray), "image", (frame(gray),), 0.0)


async def judge_one(engine: ScriptedEngine, config: JudgeConfig, **more: object) -> Verdict:
    judge = Judge(engine, POLICY, config, priors=PriorStore(), **more)  # type: ignore[arg-type]
    (verdict,) = await judge.judge([picture()])
    return Verdict.model_validate_json(verdict.model_dump_json())


def config(**debate: object) -> JudgeConfig:
    settings = DebateSettings.model_validate({"enabled": True, **debate})
    return JudgeConfig(thresholds=Thresholds(preset="none"), cascade=Cascade(debate=settings), cache=False)


def court(reading: float | Callable[[Prompt], float], first: float = 0.5, **said: Written) -> ScriptedEngine:
    """`first` is the one-token reading of the knife; a person is sure; `reading` is the judge's."""
    engine = debater(**said)  # type: ignore[arg-type]
    engine._answers = {"You are the judge": reading, "Statement: A knife": first, "Statement: A person": 0.95}
    return engine


async def test_a_debate_settles_what_the_first_reading_left_open() -> None:
    verdict = await judge_one(court(0.9), config())
    assert (verdict.decision, verdict.rules[0].stage) == ("unsafe", "debate")
    assert [item.stage for item in verdict.rules[0].evidence] == ["token_probability", "debate", "token_probability"]
    assert verdict.rules[0].evidence[1].debates[0].answer == YES
    assert (verdict.usage.generations, verdict.usage.questions) == (3, 3)
    assert "debate" in verdict.timings_ms
    untouched = await judge_one(court(0.9, first=0.9), config())
    assert (untouched.decision, untouched.usage.generations) == ("unsafe", 0)


def out_of_memory(prompt: Prompt) -> str:
    raise EngineError("out of memory")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"affirmative": out_of_memory}, "the engine failed in debate: out of memory"),
        ({"negative": out_of_memory}, "the engine failed in debate: out of memory"),
        ({"judge": out_of_memory}, "the engine failed in debate: out of memory"),
        ({"judge": "I can't help with that."}, "the judge refused to answer"),
        ({"judge": "Hm."}, "begins neither with Yes nor with No: 'Hm.'"),
        ({"judge": AnswerError("withheld")}, "the judge refused to answer"),
        ({"judge": YES}, "the judge wrote Yes, but read P(Yes) as 0.01"),
    ],
)
@pytest.mark.parametrize("subject", ["precondition", "rule"])
async def test_what_goes_wrong_in_a_debate_is_never_safe(said: dict[str, Written], reason: str, subject: str) -> None:
    verdict = await judge_one(court(0.01, **said), config(subject=subject))
    assert (verdict.decision, verdict.flagged) == ("uncertain", None)
    assert reason in verdict.reason
    assert verdict.rules[0].outcome == "abstained"


async def test_a_debate_about_a_rule_decides_it_and_its_preconditions_stay_as_they_are() -> None:
    engine = court(0.1, judge="No, a spoon.")
    verdict = await judge_one(engine, config(subject="rule"))
    rule = verdict.rules[0]
    assert (rule.outcome, rule.score, rule.stage, rule.reason) == ("not_violated", 0.1, "debate", "")
    assert [(item.precondition_id, item.stage, item.outcome) for item in rule.evidence] == [
        ("knife", "token_probability", "undecided"),
        ("person", "token_probability", "satisfied"),
        ("threat", "debate", "rejected"),
    ]
    assert rule.evidence[-1].readings == Readings(observed=0.1, mass=1.0, references={"debated": 0.1})
    text = engine.calls[1].prompts[0].messages[0].text
    assert "Rule: the following must not be shown. A threat.\nEvidence so far: a first look found this 48 %" in text
    assert "after Yes the category (harm)" in engine.calls[3].prompts[0].messages[0].text
    assert (verdict.decision, verdict.usage.generations) == ("safe", 3)


async def test_a_debate_about_a_rule_that_stays_open_adds_its_reason() -> None:
    verdict = await judge_one(court(0.5), config(subject="rule"))
    assert verdict.reason == (
        "threat is undecided: knife: probability 0.50 lies between 0.20 and 0.80; "
        "after debate, probability 0.50 lies between 0.20 and 0.80"
    )
    assert verdict.rules[0].evidence[-1].debates[0].probability == 0.5


async def test_a_refusal_about_a_rule_may_mean_harm() -> None:
    verdict = await judge_one(court(0.01, judge="I can't help with that."), config(subject="rule", refusal="harmful"))
    assert (verdict.decision, verdict.rules[0].score, verdict.rules[0].stage) == ("unsafe", 0.8, "debate")


async def test_rules_beyond_the_limit_stay_open_and_say_so() -> None:
    media = Media("clip", "video", (frame(0), frame(1)), 1.0)
    judge = Judge(
        court(0.05, judge="No, a spoon."), POLICY, config(subject="rule", max_questions=1), priors=PriorStore()
    )
    (verdict,) = await judge.judge([media])
    assert verdict.decision == "uncertain"
    assert verdict.reason.endswith("the limit of debate for one media is reached")
    assert verdict.usage.generations == 3


async def test_a_policy_is_no_subject_of_the_cascade() -> None:
    with pytest.raises(ConfigError, match="cannot be part of a verdict") as raised:
        Judge(debater(), POLICY, config(subject="policy"))
    assert "`policy` is for annotation" in raised.value.hint


async def test_a_panel_is_named_in_turns_and_digests() -> None:
    panel = {"chalky": debater(name="chalk", negative="No blade at all.")}
    with_panel = config(panel={"negative": "chalky"})
    alone = await judge_one(court(0.9), config())
    other = await judge_one(court(0.9), with_panel, panel=panel)
    said = other.rules[0].evidence[1].debates[0].turns[1]
    assert (said.text, said.model) == ("No blade at all.", "chalk")
    renamed = {"chalky": debater(name="ink", negative="No blade at all.")}
    again = await judge_one(court(0.9), with_panel, panel=renamed)
    assert len({alone.versions.cascade, other.versions.cascade, again.versions.cascade}) == 3


def test_a_role_without_its_model_is_told_at_the_start() -> None:
    known = {"chalky": EngineConfig(name="scripted", model="x.json")}
    chosen = JudgeConfig(cascade=Cascade(debate=DebateSettings(enabled=True, panel={"judge": "chalk"})), panel=known)
    with pytest.raises(ConfigError, match="the judge is played by 'chalk'") as raised:
        build_stages(debater(), chosen)
    assert raised.value.hint == "did you mean 'chalky'?"
    chosen = chosen.model_copy(
        update={"cascade": Cascade(debate=DebateSettings(enabled=True, panel={"judge": "chalky"}))}
    )
    with pytest.raises(ConfigError, match="plays the judge, but is not running"):
        build_stages(debater(), chosen)


def guard() -> ScriptedEngine:
    return ScriptedEngine(
        default=0.5, info=ModelInfo("guard", "d", question_format=QuestionFormat("guard_shieldstral"))
    )


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        (debater(capabilities=Capabilities(generation=False)), "generation"),
        (guard(), "has no room for a debate"),
    ],
)
def test_an_engine_that_cannot_argue_is_refused_at_the_start(engine: ScriptedEngine, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Judge(engine, POLICY, config())
    chosen = config(panel={"affirmative": "other"})
    with pytest.raises(ConfigError, match=message):
        Judge(debater(), POLICY, chosen, panel={"other": engine})


def test_a_judge_must_give_probabilities_but_debaters_need_not() -> None:
    mute = debater(capabilities=Capabilities(choice_probabilities=False))
    DebateStage(Cast(debater(), {"affirmative": mute}), DebateSettings(), Thresholds())
    with pytest.raises(ConfigError, match="choice_probabilities"):
        DebateStage(Cast(debater(), {"judge": mute}), DebateSettings(), Thresholds())


def test_examples_that_do_not_fit_are_told_at_the_start() -> None:
    narrow = debater(capabilities=Capabilities(max_frames=2))
    examples = {"threat": [JudgedExample((frame(), frame()), "Yes, harm.")]}
    with pytest.raises(ConfigError, match="the judge of a debate is shown 3, 2 of them in examples"):
        Judge(narrow, POLICY, config(subject="rule"), examples=examples)
    for allowed in ({"examples_for": "nobody"}, {"max_examples": 0}):
        Judge(narrow, POLICY, config(subject="rule", **allowed), examples=examples)
    Judge(debater(), POLICY, config(subject="rule"), examples=examples)


async def test_the_judge_of_a_rule_sees_its_examples() -> None:
    engine = court(0.9)
    examples = {"threat": [JudgedExample((frame(7),), "Yes, harm.")]}
    await judge_one(engine, config(subject="rule"), examples=examples)
    assert [len(call.prompts[0].frames) for call in engine.calls] == [1, 1, 1, 2, 2]
    assert "Example 1: Yes, harm." in engine.calls[-1].prompts[0].messages[0].text
