from __future__ import annotations

import numpy as np
import pytest

from judge.config import Thresholds
from judge.constitution import Rule
from judge.engines.scripted import Answer, ScriptedEngine
from judge.errors import ConfigError, EngineError
from judge.prompts.render import policy_prompt, rule_prompt, template_digest
from judge.stages.direct import policy_direct, rule_whole
from judge.types import ChoiceProbabilities, Evidence, Frame, Prompt, Readings

AT_HALF = Thresholds(preset="none", accept=0.5, reject=0.5)


def rule(name: str, statement: str) -> Rule:
    return Rule(id=name, category="harm", severity="high", text=name, statement=statement, violated_when="thing")


RULES = (rule("knives", "A knife is shown."), rule("fires", "A fire is shown."))
FRAMES = tuple(Frame(index, 0.0, np.full((2, 2, 3), 255 * index, dtype=np.uint8)) for index in range(2))


def by_frame(prompt: Prompt) -> float:
    return 0.9 if prompt.frames[0].index else 0.1


async def test_policy_direct_asks_one_question_per_frame_over_all_rules() -> None:
    engine = ScriptedEngine(default=by_frame)
    evidence = await policy_direct(engine, RULES, FRAMES, AT_HALF)
    both = ["A knife is shown.", "A fire is shown."]
    assert engine.calls[0].prompts == tuple(policy_prompt(both, (frame,)) for frame in FRAMES)
    assert [(item.outcome, item.frame_indices) for item in evidence] == [("rejected", (0,)), ("satisfied", (1,))]
    assert evidence[1] == Evidence(
        stage="policy_direct",
        precondition_id="policy",
        statement="A knife is shown.\nA fire is shown.",
        outcome="satisfied",
        probability=0.9,
        readings=Readings(observed=0.9, mass=1.0),
        frame_indices=(1,),
        template_digest=template_digest("policy"),
    )


async def test_rule_whole_asks_each_rule_of_each_frame() -> None:
    engine = ScriptedEngine({"knife": by_frame, "fire": Answer(0.9, 0.1)})
    first, second = await rule_whole(engine, RULES, FRAMES, AT_HALF)
    (call,) = engine.calls
    assert call.prompts == tuple(rule_prompt(each.statement, (frame,)) for frame in FRAMES for each in RULES)
    assert {name: item.outcome for name, item in first.items()} == {"knives": "rejected", "fires": "undecided"}
    assert {name: item.outcome for name, item in second.items()} == {"knives": "satisfied", "fires": "undecided"}
    assert second["knives"].stage == "rule_whole"


async def test_without_frames_or_rules_nothing_is_asked() -> None:
    engine = ScriptedEngine()
    assert await policy_direct(engine, RULES, (), AT_HALF) == []
    assert await rule_whole(engine, (), FRAMES, AT_HALF) == [{}, {}]
    assert engine.calls == []


@pytest.mark.parametrize("preset", ["clue", "log_odds"])
async def test_a_preset_that_needs_a_prior_is_refused(preset: str) -> None:
    with pytest.raises(ConfigError, match="compares with references"):
        await policy_direct(ScriptedEngine(default=0.5), RULES, FRAMES, Thresholds.model_validate({"preset": preset}))


class ShortEngine(ScriptedEngine):
    """Breaks the contract: one answer too few."""

    async def choose(self, prompts: object, choices: object = ()) -> list[ChoiceProbabilities]:
        return [ChoiceProbabilities({"Yes": 0.5, "No": 0.5}, 1.0)]


async def test_an_engine_that_loses_an_answer_is_an_engine_error() -> None:
    with pytest.raises(EngineError, match="gave 1 answers to 2 questions"):
        await policy_direct(ShortEngine(), RULES, FRAMES, AT_HALF)
