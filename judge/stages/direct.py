"""Baselines that the preconditions must beat: the whole policy in one question, and each rule in one question.

For comparison tables, not for verdicts: they read the observed probability only, without debiasing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from judge.config import Thresholds
from judge.constitution import Rule
from judge.debias import references
from judge.engines.base import Engine
from judge.errors import ConfigError
from judge.prompts.render import policy_prompt, rule_prompt
from judge.stages.questions import Question, choose, to_evidence
from judge.types import Evidence, Frame

POLICY_ID = "policy"
"""`precondition_id` of the evidence about the policy as a whole."""


async def policy_direct(
    engine: Engine, rules: Sequence[Rule], frames: Sequence[Frame], thresholds: Thresholds
) -> list[Evidence]:
    """Is any of the rules violated? One question per frame, one piece of evidence per frame, in order.

    Raises:
        ConfigError: The preset of `thresholds` needs a reference.
        EngineError: The engine could not answer.
    """
    statements = [rule.statement for rule in rules]
    text = "\n".join(statements)
    style = engine.info.question_format
    questions = [
        Question("policy_direct", POLICY_ID, text, policy_prompt(statements, (frame,), style)) for frame in frames
    ]
    return await _ask(engine, questions, thresholds)


async def rule_whole(
    engine: Engine, rules: Sequence[Rule], frames: Sequence[Frame], thresholds: Thresholds
) -> list[Mapping[str, Evidence]]:
    """Is this rule violated? One question per rule and frame; per frame, in order, the evidence by rule id.

    Raises:
        ConfigError: The preset of `thresholds` needs a reference.
        EngineError: The engine could not answer.
    """
    style = engine.info.question_format
    questions = [
        Question("rule_whole", rule.id, rule.statement, rule_prompt(rule.statement, (frame,), style))
        for frame in frames
        for rule in rules
    ]
    evidence = iter(await _ask(engine, questions, thresholds))
    return [{rule.id: next(evidence) for rule in rules} for _ in frames]


async def _ask(engine: Engine, questions: Sequence[Question], thresholds: Thresholds) -> list[Evidence]:
    if references(thresholds):
        raise ConfigError(f"preset '{thresholds.preset}' compares with references, which the baselines do not read")
    answers = await choose(engine, [question.prompt for question in questions])
    return [to_evidence(question, answer, thresholds) for question, answer in zip(questions, answers, strict=True)]
