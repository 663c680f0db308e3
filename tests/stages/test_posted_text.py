"""Words posted with media reach every question about it, and nothing else; text alone is judged by its own rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from judge.config import (
    Cascade,
    DebateSettings,
    JudgeConfig,
    ReasoningSettings,
    RegionSettings,
    RelevanceSettings,
    Thresholds,
    VoteSettings,
)
from judge.constitution import Constitution, parse_constitution
from judge.engines.base import Capabilities, ModelInfo
from judge.engines.scripted import Answer, ScriptedEngine
from judge.errors import EngineError
from judge.pipeline import UNREAD_TEXT, Judge
from judge.prompts.posted import posted_digest, text_media
from judge.prompts.render import digests_in_use, template_digest, templates_digest
from judge.replay import Conditions, replay
from judge.stages.prior_store import PriorStore
from judge.stages.relevance import RelevanceScan
from judge.types import Domain, Frame, Media, Prompt, QuestionFormat, Usage
from tests.stages.test_relevance import POLICY as SCANNED
from tests.stages.test_relevance import TableEmbedder
from tests.stages.test_video import CONSTITUTION as CLIPS
from tests.stages.test_video import Reel, opened

POLICY: Constitution = parse_constitution(
    """
name: posts
version: "1"
categories: {harm: {title: Harm}, insult: {title: Insult}}
preconditions:
  knife: {statement: A knife is visible.}
  insult: {statement: A group is insulted.}
rules:
  threat: {category: harm, severity: high, text: t, statement: A threat., violated_when: knife}
  meme:
    {category: insult, severity: low, text: t, statement: An insult., violated_when: insult, modalities: [image, text]}
  words: {category: insult, severity: low, text: t, statement: Words., violated_when: insult, modalities: [text]}
""",
    source="posts",
)
DIRECT = JudgeConfig(thresholds=Thresholds(preset="none"))
CAPTION = "look at these people"


def picture(text: str = CAPTION) -> Media:
    return Media("m", "image", (Frame(0, 0.0, np.zeros((8, 8, 3), np.uint8)),), 0.0, text=text)


def build(engine: ScriptedEngine, config: JudgeConfig = DIRECT, priors: PriorStore | None = None) -> Judge:
    return Judge(engine, POLICY, config, priors=priors or PriorStore())


def asked(engine: ScriptedEngine) -> list[Prompt]:
    return [prompt for call in engine.calls for prompt in call.prompts]


def shows_text(prompt: Prompt) -> bool:
    return CAPTION in prompt.messages[0].text


def if_shown(yes: float, no: float) -> float | object:
    return lambda prompt: yes if shows_text(prompt) else no


# --- words posted with a picture ----------------------------------------------------------------------------------


async def test_words_decide_what_the_picture_alone_leaves_open() -> None:
    engine = ScriptedEngine({"knife": 0.0, "insulted": if_shown(0.9, 0.1)})
    with_words, without = await build(engine).judge([picture(), picture("")])
    assert [rule.outcome for rule in with_words.rules] == ["not_violated", "violated"]
    assert [rule.outcome for rule in without.rules] == ["not_violated", "not_violated"]
    evidence = with_words.rules[1].evidence[0]
    assert evidence.template_digest == posted_digest(template_digest("precondition"), CAPTION)
    assert with_words.versions.templates == templates_digest(text=True)
    assert without.versions.templates == templates_digest()


async def test_questions_without_words_are_byte_for_byte_what_they_were() -> None:
    first, second = ScriptedEngine(default=0.5), ScriptedEngine(default=0.5)
    await build(first).judge([picture("")])
    await build(second).judge([replace(picture(), text="")])
    assert [prompt.messages for prompt in asked(first)] == [prompt.messages for prompt in asked(second)]
    assert not any("quotation marks" in prompt.messages[0].text for prompt in asked(first))


CONTEXTUAL = JudgeConfig(thresholds=Thresholds(preset="contextual", contextual_references=("blank", "noised")))


@pytest.mark.parametrize("config", [JudgeConfig(), CONTEXTUAL])
async def test_references_hold_no_words_and_are_kept_once(tmp_path: Path, config: JudgeConfig) -> None:
    engine = ScriptedEngine(default=0.5)
    await build(engine, config, PriorStore(tmp_path)).judge([picture(f"{CAPTION} {number}") for number in range(5)])
    references = [prompt for prompt in asked(engine) if not shows_text(prompt)]
    files = list(tmp_path.iterdir())
    assert len(files) == 2
    assert len(references) == (2 if config is not CONTEXTUAL else 2 + 2 * 5)
    assert not any(CAPTION in file.read_text() for file in files)


async def test_the_rule_as_a_whole_is_asked_with_the_words() -> None:
    engine = ScriptedEngine(default=0.5)
    config = JudgeConfig(thresholds=Thresholds(preset="none"), cascade=Cascade(holistic_weight=0.5))
    await build(engine, config).judge([picture()])
    assert len(asked(engine)) == 4
    assert all(shows_text(prompt) for prompt in asked(engine))


async def test_the_relevance_scan_of_the_picture_drops_no_rule_that_the_words_may_break() -> None:
    settings = RelevanceSettings(embedder="clip")
    scan = RelevanceScan(TableEmbedder(), SCANNED, settings)
    judge = Judge(ScriptedEngine(default=0.9), SCANNED, DIRECT, priors=PriorStore(), scan=scan)
    with_words, without = await judge.judge([picture(), picture("")])
    assert {rule.stage for rule in with_words.rules} == {"token_probability"}
    assert "relevance" in {rule.stage for rule in without.rules}


SLOW: Mapping[str, Cascade] = {
    "reasoning": Cascade(reasoning=ReasoningSettings(enabled=True)),
    "vote": Cascade(vote=VoteSettings(enabled=True)),
    "debate": Cascade(debate=DebateSettings(enabled=True)),
    "debate_rule": Cascade(debate=DebateSettings(enabled=True, subject="rule")),
}


async def test_an_answer_that_rests_on_words_is_not_held_against_a_region_of_the_picture() -> None:
    engine = ScriptedEngine({"insulted": if_shown(0.9, 0.5), "knife": 0.5})
    region = Cascade(region=RegionSettings(localizer="occlusion", grid=2))
    judge = build(engine, JudgeConfig(thresholds=Thresholds(preset="none"), cascade=region))
    with_words, without = await judge.judge([picture(), picture("")])
    assert (with_words.decision, with_words.rules[1].stage) == ("unsafe", "token_probability")
    assert with_words.notices[-1] == "no region test was made: an answer may rest on the words posted with it"
    assert without.rules[1].evidence[-1].stage == "region_test"


@pytest.mark.parametrize("stage", SLOW)
async def test_every_slow_stage_sees_the_words(stage: str) -> None:
    engine = ScriptedEngine(default=0.5, default_generation="Yes, so it is.")
    judge = build(engine, JudgeConfig(thresholds=Thresholds(preset="none"), cascade=SLOW[stage]))
    (verdict,) = await judge.judge([picture()])
    assert len(asked(engine)) > 4
    assert all(shows_text(prompt) for prompt in asked(engine))
    digests = {item.template_digest for rule in verdict.rules for item in rule.evidence}
    assert digests <= digests_in_use() - {template_digest(name) for name in ("precondition", "debate")}


async def test_frames_and_pieces_of_a_video_are_asked_with_its_words() -> None:
    engine = ScriptedEngine(default=0.1)
    media = replace(opened(Reel([0] * 20)), text=CAPTION)
    (verdict,) = await Judge(engine, CLIPS, DIRECT, priors=PriorStore()).judge([media])
    assert {rule.outcome for rule in verdict.rules} == {"not_violated"}
    assert {len(prompt.frames) > 1 for prompt in asked(engine)} == {True, False}
    assert all(shows_text(prompt) for prompt in asked(engine))


@pytest.mark.parametrize(
    "info",
    [
        ModelInfo("pen", "d", Domain("The picture is a drawing.", "drawings")),
        ModelInfo("guard", "d", question_format=QuestionFormat("guard_shieldgemma")),
    ],
)
async def test_a_model_made_for_other_questions_is_not_shown_the_words_and_the_verdict_says_so(info: ModelInfo) -> None:
    engine = ScriptedEngine(default=0.9, info=info)
    told, silent = await build(engine).judge([picture(), picture("")])
    assert not any(shows_text(prompt) for prompt in asked(engine))
    assert [each for each in told.notices if each.startswith(UNREAD_TEXT)] == list(told.notices[-1:])
    apart = {"notices", "timings_ms"}
    assert told.model_dump(exclude=apart) == silent.model_dump(exclude=apart)
    assert told.notices[:-1] == silent.notices


# --- text alone ---------------------------------------------------------------------------------------------------


async def test_text_alone_is_judged_by_the_rules_about_text() -> None:
    engine = ScriptedEngine(text_only={"insulted": if_shown(0.9, 0.3)})
    (verdict,) = await build(engine, JudgeConfig()).judge([text_media(CAPTION)])
    assert [(rule.rule_id, rule.outcome) for rule in verdict.rules] == [("meme", "violated"), ("words", "violated")]
    assert (verdict.decision, verdict.media_kind, verdict.n_frames) == ("unsafe", "text", 0)
    assert verdict.media_id == text_media(CAPTION).id
    (evidence,) = verdict.rules[0].evidence
    assert (evidence.readings and evidence.readings.prior, evidence.frame_indices) == (0.3, ())
    assert evidence.template_digest == template_digest("text")
    assert verdict.usage == Usage(questions=1, prompt_tokens=verdict.usage.prompt_tokens)
    assert {prompt.frames for prompt in asked(engine)} == {()}


async def test_text_beside_pictures_changes_nothing_for_them() -> None:
    engine = ScriptedEngine({"knife": 0.9, "insulted": 0.1}, text_only={"insulted": 0.1})
    together = await build(engine).judge([picture(""), text_media(CAPTION)])
    assert [verdict.decision for verdict in together] == ["unsafe", "safe"]


async def test_priors_of_texts_do_not_grow_with_the_texts(tmp_path: Path) -> None:
    engine = ScriptedEngine(default=0.5)
    judge = build(engine, JudgeConfig(), PriorStore(tmp_path))
    await judge.judge([text_media(f"{CAPTION} {number}") for number in range(5)])
    assert len(list(tmp_path.iterdir())) == 1
    await judge.judge([picture("")])
    assert len(list(tmp_path.iterdir())) == 3


async def test_a_reference_that_a_text_cannot_have_leaves_it_open() -> None:
    engine = ScriptedEngine(default=0.9)
    (verdict,) = await build(engine, CONTEXTUAL).judge([text_media(CAPTION)])
    assert verdict.decision == "uncertain"
    assert "is missing" in verdict.rules[0].reason


async def test_text_without_a_rule_about_text_is_uncertain() -> None:
    engine = ScriptedEngine(default=0.0)
    (verdict,) = await Judge(engine, CLIPS, DIRECT, priors=PriorStore()).judge([text_media(CAPTION)])
    assert (verdict.decision, verdict.reason) == ("uncertain", "no rule of the constitution applies to this media")
    assert engine.calls == []


@pytest.mark.parametrize(
    "engine",
    [
        ScriptedEngine(default=0.0, info=ModelInfo("pen", "d", Domain("It is a drawing.", "drawings"))),
        ScriptedEngine(default=0.0, info=ModelInfo("pen", "d"), capabilities=Capabilities(text_only=False)),
    ],
)
async def test_a_model_that_judges_no_text_is_not_asked(engine: ScriptedEngine) -> None:
    (verdict,) = await build(engine).judge([text_media(CAPTION)])
    assert (verdict.decision, verdict.flagged) == ("uncertain", None)
    assert verdict.reason == "model 'pen' does not judge text without a picture"
    assert engine.calls == []


@pytest.mark.parametrize("stage", ["reasoning", "debate_rule"])
async def test_slow_stages_leave_text_alone_and_say_so(stage: str) -> None:
    engine = ScriptedEngine(default=Answer(0.5), default_generation="Yes, so it is.")
    judge = build(engine, JudgeConfig(thresholds=Thresholds(preset="none"), cascade=SLOW[stage]))
    (verdict,) = await judge.judge([text_media(CAPTION)])
    assert verdict.decision == "uncertain"
    assert verdict.notices[-1] == "text is judged by one-token questions alone"
    assert verdict.usage.generations == 0


async def test_an_engine_that_fails_leaves_a_text_open() -> None:
    engine = ScriptedEngine(default=EngineError("out of memory"))
    (verdict,) = await build(engine).judge([text_media(CAPTION)])
    assert (verdict.decision, verdict.reason) == ("uncertain", "the engine failed: out of memory")


async def test_a_verdict_about_text_can_be_decided_again() -> None:
    engine = ScriptedEngine(default=0.9)
    (verdict,) = await build(engine).judge([text_media(CAPTION)])
    again = replay(verdict, Conditions(POLICY, digests_in_use(), DIRECT.thresholds))
    assert [rule.outcome for rule in again.rules] == ["violated", "violated"]
