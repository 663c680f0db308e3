"""From evidence to rule decisions to the decision about the media. Pure.

What could not be established is abstained, with the reason; an abstention never becomes "safe".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never, get_args

from judge.config import Thresholds
from judge.constitution import Constitution, Expression, Rule, canonical, deciding, evaluate, names, soft_score
from judge.odds import logit, sigmoid
from judge.types import DecisionLabel, Evidence, Outcome, RuleDecision, RuleOutcome, Stage

_UNKNOWN = 0.5
"""Probability of a precondition without evidence; its rule is abstained, unless the others decide it."""

_RULE_OUTCOMES: Mapping[Outcome, RuleOutcome] = {
    "satisfied": "violated",
    "rejected": "not_violated",
    "undecided": "abstained",
}


@dataclass(frozen=True, slots=True)
class Decision:
    """The decision about one piece of media, before it is dressed as a `Verdict`."""

    label: DecisionLabel
    flagged: bool | None
    score: float
    category_scores: Mapping[str, float]
    reason: str = ""


def decide_rule(
    constitution: Constitution, rule: Rule, evidence: Mapping[str, Evidence], frame_index: int
) -> RuleDecision:
    """Decide one rule on one frame from the evidence by precondition id. Missing evidence is undecided."""
    expression = constitution.expression(rule.id)
    asked = [evidence[name] for name in names(expression) if name in evidence]
    outcomes = {item.precondition_id: item.outcome for item in asked}
    outcome = _RULE_OUTCOMES[evaluate(expression, outcomes)]
    probabilities = dict.fromkeys(names(expression), _UNKNOWN)
    probabilities |= {item.precondition_id: item.probability for item in asked}
    return RuleDecision(
        rule_id=rule.id,
        category=rule.category,
        severity=rule.severity,
        outcome=outcome,
        score=soft_score(expression, probabilities),
        stage="none" if outcome == "abstained" else _settled_at(expression, asked),
        expression=canonical(expression),
        frame_index=frame_index,
        reason=why_open(expression, evidence),
        evidence=tuple(asked),
    )


def why_open(expression: Expression, evidence: Mapping[str, Evidence]) -> str:
    """Why the evidence leaves an expression undecided, precondition by precondition; empty if it decides it."""
    open_names = deciding(expression, {name: item.outcome for name, item in evidence.items()})
    reasons = {name: evidence[name].reason if name in evidence else "not asked" for name in open_names}
    return "; ".join(f"{name}: {reasons[name]}" for name in names(expression) if name in open_names)


def abstain(decision: RuleDecision, reason: str) -> RuleDecision:
    """The same rule with its evidence, but abstained: the evidence is not to be relied on."""
    return decision.model_copy(update={"outcome": "abstained", "stage": "none", "reason": reason})


def fuse(decision: RuleDecision, whole: Evidence, weight: float, thresholds: Thresholds) -> RuleDecision:
    """The rule's score with a reading of the rule as a whole mixed in: z = (1 - w) z_chain + w z_whole.

    `accept` and `reject` then decide. A rule that rests on a precondition without a usable answer, and a reading of
    the whole without one, leave the decision as it is: a missing answer is not outvoted.
    Source: CLUE (arXiv 2501.00192), where one question about the whole rule beats the chain on 4 of 14 rules.
    """
    kept = decision.model_copy(update={"evidence": (*decision.evidence, whole)})
    if not _usable(whole, thresholds):
        return kept
    unusable = [item for item in decision.evidence if not _usable(item, thresholds)]
    if decision.outcome == "abstained" and unusable:
        return kept
    score = sigmoid((1.0 - weight) * logit(decision.score) + weight * logit(whole.probability))
    outcome: RuleOutcome = "abstained"
    if score >= thresholds.accept:
        outcome = "violated"
    elif score <= thresholds.reject:
        outcome = "not_violated"
    between = f"fused score {score:.2f} lies between {thresholds.reject:.2f} and {thresholds.accept:.2f}"
    reason = between if outcome == "abstained" else ""
    stage: Stage = "none" if outcome == "abstained" else "rule_whole"
    return kept.model_copy(update={"outcome": outcome, "score": score, "stage": stage, "reason": reason})


def argued(decision: RuleDecision, debate: Evidence) -> RuleDecision:
    """An open rule with what a debate about the rule itself found; a rule that is decided keeps its decision."""
    kept = decision.model_copy(update={"evidence": (*decision.evidence, debate)})
    if decision.outcome != "abstained":
        return kept
    if debate.outcome == "undecided":
        return kept.model_copy(update={"reason": f"{decision.reason}; {debate.reason}"})
    outcome = _RULE_OUTCOMES[debate.outcome]
    found = {"outcome": outcome, "score": debate.probability, "stage": debate.stage, "reason": ""}
    return kept.model_copy(update=found)


def not_relevant(constitution: Constitution, rule: Rule, scan: Evidence, frame_index: int) -> RuleDecision:
    """A rule that the relevance scan dropped: not violated, settled there, with the scan's evidence."""
    nothing = decide_rule(constitution, rule, {}, frame_index)
    return nothing.model_copy(
        update={
            "outcome": "not_violated",
            "score": scan.probability,
            "stage": scan.stage,
            "reason": "",
            "evidence": (scan,),
        }
    )


def merge_frames(decisions: Sequence[RuleDecision]) -> RuleDecision:
    """One rule's decisions on several frames as one: violated wins, then abstained, then not violated.

    The decision kept, with its evidence and score, is the highest-scoring frame of those with that outcome,
    the earliest among equals. At least one frame is needed.
    """
    assert decisions, "a rule without frames has no decision"
    strongest = max(decisions, key=lambda each: _rank(each.outcome))
    return max((each for each in decisions if each.outcome == strongest.outcome), key=lambda each: each.score)


def decide(decisions: Sequence[RuleDecision]) -> Decision:
    """The decision about the media: unsafe if any rule is violated, safe only if every rule is not violated."""
    categories: dict[str, float] = {}
    for each in decisions:
        categories[each.category] = max(categories.get(each.category, 0.0), each.score)
    score = max(categories.values(), default=0.0)
    abstained = [each for each in decisions if each.outcome == "abstained"]
    if any(each.outcome == "violated" for each in decisions):
        return Decision("unsafe", True, score, categories)
    if not decisions:
        return Decision("uncertain", None, score, categories, "no rule of the constitution applies to this media")
    if abstained:
        return Decision("uncertain", None, score, categories, _why_uncertain(abstained, len(decisions)))
    return Decision("safe", False, score, categories)


def _settled_at(expression: Expression, evidence: Sequence[Evidence]) -> Stage:
    """The first stage of the cascade whose evidence, with that of the stages before it, decides the expression."""
    order: tuple[Stage, ...] = get_args(Stage)
    for stage in order:
        known = {
            item.precondition_id: item.outcome for item in evidence if order.index(item.stage) <= order.index(stage)
        }
        if evaluate(expression, known) != "undecided":
            return stage
    return "none"


def _usable(evidence: Evidence, thresholds: Thresholds) -> bool:
    return evidence.readings is not None and evidence.readings.mass >= thresholds.min_mass


def _rank(outcome: RuleOutcome) -> int:
    match outcome:
        case "violated":
            return 2
        case "abstained":
            return 1
        case "not_violated":
            return 0
    assert_never(outcome)


def _why_uncertain(abstained: Sequence[RuleDecision], n_rules: int) -> str:
    """One reason said once if the rules share it, else the rules by name; their reasons stand beside them."""
    reasons = {each.reason for each in abstained}
    if len(reasons) == 1 and len(abstained) > 1:
        return reasons.pop()
    if len(abstained) == 1:
        return f"{abstained[0].rule_id} is undecided: {abstained[0].reason}"
    return f"{len(abstained)} of {n_rules} rules are undecided: {', '.join(each.rule_id for each in abstained)}"
