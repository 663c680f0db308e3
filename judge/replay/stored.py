"""What a stored verdict has to offer to whoever decides it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from judge.config import Cascade
from judge.constitution import Constitution, Expression, evaluate, names
from judge.constitution.compare import renamed
from judge.decide import why_open
from judge.replay.conditions import Conditions
from judge.replay.meaning import function_of, parsed, same
from judge.types import Evidence, Outcome, RuleDecision, Stage, Verdict

History = tuple[Evidence, ...]
"""What was learned of one precondition on one frame, stage by stage; the last one counts."""
_HOLISTIC: tuple[Stage, ...] = ("relevance", "rule_whole", "policy_direct")
"""Stages whose evidence is about a rule, not about a precondition."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a verdict has to offer.

    Attributes:
        functions: Rule id -> its expression over statements, where it is known.
        frames: Frame index -> statement -> history, of frames that can be relied on.
        forced: Why the whole media was abstained, whatever the evidence; empty if it was not.
        same_rules: Whether the new constitution asks exactly what was asked.
        slow: Whether stages ran that ask only what is open.
    """

    verdict: Verdict
    functions: Mapping[str, Expression]
    frames: Mapping[int, Mapping[str, History]]
    forced: str
    same_rules: bool
    slow: bool
    decisions: Mapping[str, RuleDecision] = field(default_factory=dict)

    @classmethod
    def of(cls, verdict: Verdict, conditions: Conditions) -> Stored:
        statements = _statements(verdict, conditions.made_under)
        functions = {rule.rule_id: over for rule in verdict.rules if (over := _function(rule, statements)) is not None}
        forced = {rule.rule_id: rule.reason for rule in verdict.rules if _is_forced(rule)}
        bare = not any(rule.evidence for rule in verdict.rules)
        whole = len(forced) == len(verdict.rules) > 0 and (_at_once(verdict) or bare)
        asking = [each for each in conditions.constitution.rules if verdict.media_kind in each.modalities]
        new = {each.id: function_of(conditions.constitution, each) for each in asking}
        return cls(
            verdict=verdict,
            functions=functions,
            frames=_frames([rule for rule in verdict.rules if rule.rule_id not in forced or whole]),
            forced=next(iter(forced.values())) if whole else "",
            same_rules=new.keys() == functions.keys() and all(same(new[id], functions[id]) for id in new),
            slow=verdict.versions.cascade not in ("", Cascade().digest),
            decisions={rule.rule_id: rule for rule in verdict.rules},
        )

    @property
    def one_frame(self) -> bool:
        return _at_once(self.verdict)

    @property
    def holistic(self) -> bool:
        """Whether some rule was decided from more than its preconditions."""
        return any(about_rule(item, rule) for rule in self.verdict.rules for item in rule.evidence)


def _at_once(verdict: Verdict) -> bool:
    """Nothing was judged beside what the readings are of."""
    return verdict.n_frames == 1 or verdict.media_kind == "text"


def about_rule(item: Evidence, rule: RuleDecision) -> bool:
    """Not about a precondition, which has been asked about before it is debated; ids of both kinds may be equal."""
    if item.stage != "debate" or item.precondition_id != rule.rule_id:
        return item.stage in _HOLISTIC
    asked = {(each.precondition_id, each.statement) for each in rule.evidence if each.stage != "debate"}
    return (item.precondition_id, item.statement) not in asked


def histories_of(rule: RuleDecision) -> dict[str, History]:
    """By precondition id."""
    histories: dict[str, History] = {}
    for item in rule.evidence:
        if not about_rule(item, rule):
            histories[item.precondition_id] = (*histories.get(item.precondition_id, ()), item)
    return histories


def _is_forced(rule: RuleDecision) -> bool:
    """Abstained for another reason than its evidence: outside the model's domain, a failed engine."""
    if rule.outcome != "abstained" or any(about_rule(item, rule) for item in rule.evidence):
        return False
    expression = parsed(rule.expression)
    last = {item.precondition_id: item for item in rule.evidence}
    outcomes: dict[str, Outcome] = {name: item.outcome for name, item in last.items()}
    if expression is None:
        return False
    return evaluate(expression, outcomes) != "undecided" or why_open(expression, last) != rule.reason


def _frames(rules: Sequence[RuleDecision]) -> dict[int, dict[str, History]]:
    frames: dict[int, dict[str, History]] = {}
    for rule in rules:
        known = frames.setdefault(rule.frame_index, {})
        for history in histories_of(rule).values():
            known.setdefault(history[0].statement, history)
    return frames


def _statements(verdict: Verdict, made_under: Constitution | None) -> dict[str, str]:
    """Precondition id -> what was asked."""
    found = {
        item.precondition_id: item.statement
        for rule in verdict.rules
        for item in rule.evidence
        if not about_rule(item, rule)
    }
    if made_under is not None and made_under.digest == verdict.versions.constitution:
        found |= {each.id: each.statement for each in made_under.preconditions}
    return found


def _function(rule: RuleDecision, statements: Mapping[str, str]) -> Expression | None:
    """A stored rule over statements; None if it cannot be read or some statement is not known."""
    expression = parsed(rule.expression)
    if expression is None or not statements.keys() >= set(names(expression)):
        return None
    return renamed(expression, statements)
