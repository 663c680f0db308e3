from __future__ import annotations

import pytest

from judge.config import Cascade, JudgeConfig, ReasoningSettings, RegionSettings
from judge.constitution import parse_constitution
from judge.engines.base import Capabilities, ModelInfo
from judge.engines.scripted import ScriptedEngine
from judge.errors import ConfigError
from judge.pipeline import Judge
from judge.stages.build import build_stages
from judge.types import QuestionFormat

POLICY = parse_constitution(
    """
name: small
version: "1"
categories: {harm: {title: Harm}}
preconditions: {knife: {statement: A knife is visible.}}
rules: {threat: {category: harm, severity: high, text: t, statement: s, violated_when: knife}}
""",
    source="small",
)
REGION, REASONING = RegionSettings(localizer="occlusion"), ReasoningSettings(enabled=True)


@pytest.mark.parametrize(
    ("cascade", "names"),
    [
        (Cascade(), []),
        (Cascade(region=REGION), ["the region test"]),
        (Cascade(reasoning=REASONING), ["chain of thought"]),
        (Cascade(region=REGION, reasoning=REASONING), ["the region test", "chain of thought"]),
    ],
)
def test_stages_are_those_that_are_switched_on_in_their_order(cascade: Cascade, names: list[str]) -> None:
    stages = build_stages(ScriptedEngine(default=0.5), JudgeConfig(cascade=cascade))
    assert [stage.name for stage in stages] == names


def test_reasoning_needs_an_engine_that_writes() -> None:
    mute = ScriptedEngine(default=0.5, capabilities=Capabilities(generation=False))
    config = JudgeConfig(cascade=Cascade(reasoning=REASONING))
    with pytest.raises(ConfigError, match="generation"):
        Judge(mute, POLICY, config)
    Judge(mute, POLICY)


def test_a_guard_model_is_not_asked_to_reason() -> None:
    info = ModelInfo("guard", "digest", question_format=QuestionFormat("guard_shieldstral"))
    config = JudgeConfig(cascade=Cascade(reasoning=REASONING))
    with pytest.raises(ConfigError, match="has no reasoning"):
        build_stages(ScriptedEngine(default=0.5, info=info), config)


def test_a_missing_model_of_a_stage_is_told_at_the_start() -> None:
    config = JudgeConfig(cascade=Cascade(region=RegionSettings(localizer="owlv2", model="/no/such/folder")))
    with pytest.raises(ConfigError, match="no such folder"):
        Judge(ScriptedEngine(default=0.5), POLICY, config)
