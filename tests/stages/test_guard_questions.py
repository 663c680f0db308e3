"""A guard model is asked in its own format by every stage, and nothing asked so is mixed with anything else."""

from __future__ import annotations

import numpy as np
import pytest

from judge.assets import constitution_path
from judge.config import JudgeConfig, Thresholds
from judge.constitution import load_constitution
from judge.engines.base import ModelInfo
from judge.engines.scripted import ScriptedEngine
from judge.errors import ConfigError
from judge.pipeline import Judge
from judge.prompts.render import precondition_prompt, templates_digest
from judge.stages.direct import policy_direct, rule_whole
from judge.stages.localize import OcclusionLocalizer, Wanted
from judge.stages.prior_store import PriorStore
from judge.stages.token_probability import FrameQuestions, TokenProbability
from judge.types import Frame, Media, QuestionFormat

FRAME = Frame(0, 0.0, np.zeros((4, 4, 3), dtype=np.uint8))
ASKED = QuestionFormat("guard_shieldstral", frames_last=True)
POLICY = load_constitution(constitution_path("general"))
UNBIASED = Thresholds(preset="none")


def guard(question_format: QuestionFormat | None = ASKED) -> ScriptedEngine:
    return ScriptedEngine(default=0.9, info=ModelInfo("guard", "digest", question_format=question_format))


async def test_preconditions_and_their_priors_are_asked_in_the_models_format() -> None:
    engine, store = guard(), PriorStore()
    (answer,) = await TokenProbability(engine, Thresholds(), store).ask([FrameQuestions(FRAME, {"dog": "A dog."})])
    (call,) = engine.calls
    assert list(call.prompts) == [precondition_prompt("A dog.", frames, ASKED) for frames in ((), (FRAME,))]
    assert answer.evidence["dog"].template_digest == precondition_prompt("A dog.", (), ASKED).template_digest


async def test_a_prior_read_in_another_format_is_not_used() -> None:
    store = PriorStore()
    for question_format, n_prompts in ((None, 2), (ASKED, 2), (None, 1), (ASKED, 1)):
        engine = guard(question_format)
        await TokenProbability(engine, Thresholds(), store).ask([FrameQuestions(FRAME, {"dog": "A dog."})])
        assert [len(call.prompts) for call in engine.calls] == [n_prompts]


async def test_baselines_ask_in_the_models_format() -> None:
    engine = guard()
    await policy_direct(engine, POLICY.rules, (FRAME,), UNBIASED)
    await rule_whole(engine, POLICY.rules[:1], (FRAME,), UNBIASED)
    whole, one = (call.prompts[0] for call in engine.calls)
    assert all(rule.statement in whole.messages[-1].text for rule in POLICY.rules)
    assert one == precondition_prompt(POLICY.rules[0].statement, (FRAME,), ASKED)


async def test_a_verdict_carries_the_format_in_its_versions() -> None:
    found = []
    for question_format in (None, ASKED):
        judge = Judge(guard(question_format), POLICY, JudgeConfig(thresholds=UNBIASED, cache=False))
        (verdict,) = await judge.judge([Media("id", "image", (FRAME,), 0.0)])
        found.append(verdict.versions.templates)
    assert found == [templates_digest(), templates_digest(ASKED)]
    assert found[0] != found[1]


def test_an_unknown_format_is_found_before_the_first_picture() -> None:
    engine = guard(QuestionFormat("guard_nobody"))
    with pytest.raises(ConfigError, match="unknown question format 'guard_nobody'"):
        Judge(engine, POLICY, JudgeConfig(thresholds=UNBIASED, cache=False))


async def test_the_region_test_asks_about_covered_pictures_in_the_models_format() -> None:
    engine = guard()
    picture = Frame(0, 0.0, np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    localizer = OcclusionLocalizer(engine, grid=2, fill="mean", min_mass=0.5)
    await localizer.locate([Wanted(picture, POLICY.preconditions[0], 0.9)])
    asked = [prompt for call in engine.calls for prompt in call.prompts]
    assert asked
    expected = precondition_prompt(POLICY.preconditions[0].statement, (), ASKED)
    assert {(prompt.messages, prompt.layout) for prompt in asked} == {(expected.messages, expected.layout)}
