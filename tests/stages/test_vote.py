"""The vote as a stage of the cascade; by script and with the real model."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import pytest

from judge.assets import sample_media_path
from judge.config import Cascade, DebateSettings, EngineConfig, JudgeConfig, Thresholds, VoteSettings
from judge.constitution import Precondition, parse_constitution
from judge.engines.base import Capabilities, Engine, ModelInfo
from judge.engines.build import build_engine
from judge.engines.scripted import Answer, ScriptedEngine, Written
from judge.errors import AnswerError, ConfigError, EngineError
from judge.media import FileMedia, Permissions, load_media
from judge.pipeline import Judge
from judge.prompts.render import conclusion_prompt, reasoning_prompt
from judge.stages.build import build_stages
from judge.stages.escalation import Limits, OpenQuestion, Settlement
from judge.stages.prior_store import PriorStore
from judge.stages.vote import Count, VoteStage, count_votes
from judge.types import Debate, Evidence, Frame, Media, Prompt, QuestionFormat, Readings, Turn, Usage
from tests.stages.court import KNIFE, frame

Reading = float | Answer


def question(statement: str = KNIFE, picture: Frame | None = None) -> OpenQuestion:
    evidence = Evidence(
        stage="token_probability",
        precondition_id="knife",
        statement=statement,
        outcome="undecided",
        probability=0.6,
        readings=Readings(observed=0.7, mass=0.9, prior=0.6),
        reason="in between",
    )
    return OpenQuestion(picture or frame(), Precondition(id="knife", statement=statement), evidence)


def voters(*readings: Reading, texts: Sequence[Written] = ()) -> ScriptedEngine:
    """Each voter writes its number, or the text given, and is read by it."""
    said = itertools.cycle(texts or [f"Voter {number}." for number in range(len(readings))])

    def write(prompt: Prompt) -> str:
        text = next(said)
        if isinstance(text, Exception):
            raise text
        return text if isinstance(text, str) else text(prompt)

    def read(prompt: Prompt) -> Reading:
        return readings[int(prompt.messages[1].text.partition("Voter ")[2].rstrip("."))]

    return ScriptedEngine(default=read, default_generation=write)


async def settle(engine: Engine, *questions: OpenQuestion, **settings: object) -> list[Settlement]:
    chosen = VoteSettings.model_validate(settings)
    return await VoteStage(engine, chosen, Thresholds()).settle(questions or (question(),))


async def test_a_whole_vote_by_hand() -> None:
    """Log-odds of 0.9 four times and of 0.4: (4 * 2.1972 - 0.4055) / 5 = 1.6767, a probability of 0.8425."""
    engine = voters(0.9, 0.9, 0.4, 0.9, 0.9)
    (settled,) = await settle(engine)
    first = reasoning_prompt(KNIFE, ())
    turns = tuple(
        Turn(speaker="voter", round=n + 1, text=f"Voter {n}.", probability=0.4 if n == 2 else 0.9, mass=1.0)
        for n in range(5)
    )
    words = sum(
        len(message.text.split())
        for n in range(5)
        for message in (*first.messages, *conclusion_prompt(KNIFE, f"Voter {n}.", ()).messages)
    )
    (vote,) = settled.evidence.debates
    mean = pytest.approx(0.8425, abs=1e-4)
    assert vote == Debate(
        subject=KNIFE,
        turns=turns,
        probability=vote.probability,
        outcome="satisfied",
        completion_tokens=10,
        prompt_tokens=words,
    )
    assert vote.probability == mean
    assert settled.usage == Usage(prompt_tokens=words, completion_tokens=10, questions=5, generations=5)
    evidence = settled.evidence
    assert (evidence.stage, evidence.outcome, evidence.probability) == ("vote", "satisfied", mean)
    assert (evidence.reason, evidence.rationale) == ("", "4 of 5 voters say Yes")
    assert evidence.readings == Readings(observed=0.7, mass=0.9, prior=0.6, references={"voted": vote.probability})
    assert evidence.template_digest == conclusion_prompt(KNIFE, "x", ()).template_digest
    assert [(call.method, len(call.prompts)) for call in engine.calls] == [("generate", 5), ("choose", 5)]


async def test_a_split_vote_leaves_the_question_open() -> None:
    (settled,) = await settle(voters(0.9, 0.9, 0.1, 0.9, 0.1))
    assert (settled.evidence.outcome, settled.evidence.reason) == ("undecided", "3 of 5 voters say Yes")
    assert settled.evidence.debates[0].outcome == "undecided"


def votes(*readings: tuple[float | None, float]) -> list[Turn]:
    return [
        Turn(speaker="voter", round=n, probability=p, mass=None if p is None else mass)
        for n, (p, mass) in enumerate(readings, start=1)
    ]


@pytest.mark.parametrize(
    ("readings", "agreement", "count"),
    [
        ([(0.9, 1.0)] * 4 + [(None, 0.0)], 0.8, Count("satisfied", 0.9, "4 of 5 voters say Yes, 1 could not be read")),
        ([(0.1, 1.0)] * 5, 1.0, Count("rejected", 0.1, "5 of 5 voters say No")),
        (
            [(0.1, 1.0)] * 3 + [(0.1, 0.2)] * 2,
            0.8,
            Count("undecided", 0.1, "3 of 5 voters say No, 2 could not be read"),
        ),
        ([(None, 0.0)] * 3, 0.8, Count("undecided", None, "none of 3 voters could be read")),
        ([(0.5, 1.0)] * 3, 0.6, Count("undecided", 0.5, "0 of 3 voters say Yes")),
        ([(0.9, 1.0)] * 3 + [(0.5, 1.0)] * 2, 0.6, Count("satisfied", 0.7889, "3 of 5 voters say Yes")),
        (
            [(0.55, 1.0)] * 4 + [(1e-6, 1.0)],
            0.8,
            Count("undecided", 0.0689, "4 of 5 voters say Yes, but the mean of their P(Yes) is 0.07"),
        ),
    ],
)
def test_votes_are_counted_among_all_voters(
    readings: list[tuple[float | None, float]], agreement: float, count: Count
) -> None:
    found = count_votes(votes(*readings), agreement, 0.5)
    assert (found.outcome, found.told) == (count.outcome, count.told)
    assert found.probability == (None if count.probability is None else pytest.approx(count.probability, abs=1e-4))


@pytest.mark.parametrize("silence", ["", "I can't help with that."])
async def test_a_silent_voter_is_not_asked_and_shifts_no_other(silence: str) -> None:
    engine = voters(0.9, 0.9, 0.9, 0.9, 0.1, texts=["Voter 0.", silence, "Voter 2.", "Voter 3.", "Voter 4."])
    (settled,) = await settle(engine, min_agreement=0.6)
    turns = settled.evidence.debates[0].turns
    assert [turn.probability for turn in turns] == [0.9, None, 0.9, 0.9, 0.1]
    assert [turn.refused for turn in turns] == [False, True, False, False, False]
    assert settled.evidence.rationale == "3 of 5 voters say Yes, 1 could not be read"
    assert (settled.usage.generations, settled.usage.questions) == (5, 4)
    assert len(engine.calls[1].prompts) == 4


async def test_without_a_readable_voter_no_number_changes() -> None:
    (settled,) = await settle(voters(Answer(0.5, 0.0)), voters=3)
    assert (settled.evidence.outcome, settled.evidence.probability) == ("undecided", 0.6)
    assert settled.evidence.readings == question().evidence.readings
    assert settled.evidence.reason == "none of 3 voters could be read"


async def test_all_questions_vote_in_two_calls_and_keep_their_own_voters() -> None:
    def by_statement(prompt: Prompt) -> float:
        return 0.9 if "Two." in prompt.messages[0].text else 0.1

    engine = ScriptedEngine(default=by_statement, default_generation="Hm.")
    settled = await settle(engine, question("One."), question("Two."), question("Three."), voters=3)
    assert [each.evidence.outcome for each in settled] == ["rejected", "satisfied", "rejected"]
    assert [(call.method, len(call.prompts)) for call in engine.calls] == [("generate", 9), ("choose", 9)]


def test_it_says_what_it_may_spend() -> None:
    stage = VoteStage(ScriptedEngine(), VoteSettings(max_questions=3, token_budget=100), Thresholds())
    assert (stage.limits, stage.model_digest) == (Limits(questions=3, completion_tokens=100), "")


# --- in the pipeline ------------------------------------------------------------------------------------------

POLICY = parse_constitution(
    """
name: small
version: "1"
categories: {harm: {title: Harm}}
preconditions: {knife: {statement: A knife is visible.}}
rules: {threat: {category: harm, severity: high, text: t, statement: A threat., violated_when: knife}}
""",
    source="small",
)
BOTH = JudgeConfig(
    thresholds=Thresholds(preset="none"),
    cascade=Cascade(vote=VoteSettings(enabled=True), debate=DebateSettings(enabled=True)),
    cache=False,
)


def picture() -> Media:
    return Media("m", "image", (frame(),), 0.0)


def jury(say: Callable[[Prompt], str] | str, vote: Callable[[Prompt], Reading], debated: float) -> ScriptedEngine:
    return ScriptedEngine(
        {"You are the judge": debated, "So, is the statement": vote, "Statement: A knife": 0.5},
        default_generation="A blade.",
        generations={"think step by step": say, "You are the judge": "Yes, a blade."},
    )


async def test_the_vote_comes_first_and_a_debate_only_where_it_splits() -> None:
    stages = build_stages(ScriptedEngine(), BOTH)
    assert [stage.name for stage in stages] == ["vote", "debate"]
    agreed = jury("A blade.", lambda _: 0.9, 0.9)
    (verdict,) = await Judge(agreed, POLICY, BOTH, priors=PriorStore()).judge([picture()])
    assert (verdict.decision, verdict.rules[0].stage, verdict.usage.generations) == ("unsafe", "vote", 5)
    turn = itertools.count()
    split = jury("A blade.", lambda _: 0.9 if next(turn) % 2 else 0.1, 0.95)
    (verdict,) = await Judge(split, POLICY, BOTH, priors=PriorStore()).judge([picture()])
    assert (verdict.decision, verdict.rules[0].stage) == ("unsafe", "debate")
    history = verdict.rules[0].evidence
    assert [(item.stage, item.reason) for item in history[1:]] == [("vote", "3 of 5 voters say No"), ("debate", "")]
    assert set(history[-1].readings.references) == {"voted", "debated"}  # type: ignore[union-attr]


@pytest.mark.parametrize("error", [EngineError("out of memory"), AnswerError("the server withheld its text")])
async def test_a_vote_that_fails_is_never_safe(error: Exception) -> None:
    def fail(prompt: Prompt) -> str:
        raise error

    config = BOTH.model_copy(update={"cascade": Cascade(vote=VoteSettings(enabled=True))})
    (verdict,) = await Judge(jury(fail, lambda _: 0.01, 0.01), POLICY, config, priors=PriorStore()).judge([picture()])
    assert (verdict.decision, verdict.flagged) == ("uncertain", None)
    assert verdict.reason.endswith(f"the engine failed in vote: {error}")


def test_an_engine_that_cannot_reason_is_refused_at_the_start() -> None:
    config = BOTH.model_copy(update={"cascade": Cascade(vote=VoteSettings(enabled=True))})
    with pytest.raises(ConfigError, match="generation"):
        Judge(ScriptedEngine(capabilities=Capabilities(generation=False)), POLICY, config)
    info = ModelInfo("guard", "digest", question_format=QuestionFormat("guard_shieldstral"))
    with pytest.raises(ConfigError, match="has no room for a vote"):
        Judge(ScriptedEngine(info=info), POLICY, config)


# --- the real model -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def embedded() -> Engine:
    return build_engine(EngineConfig())


def scene() -> Frame:
    path = sorted(sample_media_path("demo").glob("*.png"))[0]
    return load_media(FileMedia(path=path), Permissions(files=True)).frames[0]


async def test_equal_prompts_are_sampled_independently_and_the_same_every_time(embedded: Engine) -> None:
    """At a high temperature, so that equal texts by chance are out of the question."""
    asked = [question("There is a dog.", scene()), question("There is a dog.", scene())]
    settings: dict[str, object] = {"voters": 4, "temperature": 2.0, "max_tokens": 12}
    settled = await settle(embedded, *asked, **settings)
    texts = [turn.text for each in settled for turn in each.evidence.debates[0].turns]
    assert len(set(texts)) == 8
    assert await settle(embedded, *asked, **settings) == settled
    for each in settled:
        assert each.evidence.debates[0].completion_tokens <= 4 * 12
        assert each.usage.questions <= each.usage.generations == 4


async def test_at_temperature_zero_all_voters_are_one(embedded: Engine) -> None:
    (settled,) = await settle(embedded, question("There is a dog.", scene()), voters=3, temperature=0.0, max_tokens=12)
    assert len({turn.text for turn in settled.evidence.debates[0].turns}) == 1
