"""A whole verdict decided again."""

from __future__ import annotations

from dataclasses import dataclass

from judge.decide import Decision, decide
from judge.replay.conditions import Conditions
from judge.replay.rules import RuleReplay, replay_rule
from judge.replay.stored import Stored
from judge.types import Verdict

_FITTED = "fitted thresholds decided it, and they are not about other rules, readings or settings"


@dataclass(frozen=True, slots=True)
class Replay:
    """One verdict replayed.

    Attributes:
        decision: None if it is unknown: no violation is known, and not all rules are; or `unknown` says why.
        unknown: Why the decision is unknown whatever the rules say; empty if it is not.
    """

    rules: tuple[RuleReplay, ...]
    decision: Decision | None
    unknown: str = ""


def replay(verdict: Verdict, conditions: Conditions) -> Replay:
    """Decide the stored evidence again."""
    stored = Stored.of(verdict, conditions)
    found = [replay_rule(rule, stored, conditions) for rule in conditions.constitution.rules]
    rules = tuple(each for each in found if each is not None)
    if verdict.versions.calibrated:
        return Replay(rules, _as_stored(verdict), "") if _unchanged(verdict, rules) else Replay(rules, None, _FITTED)
    known = [each.decision for each in rules if each.decision is not None]
    decided = decide(known)
    certain = len(known) == len(rules) or decided.label == "unsafe"
    return Replay(rules, decided if certain else None)


def _unchanged(verdict: Verdict, rules: tuple[RuleReplay, ...]) -> bool:
    """Every rule comes out as it was stored, with the score that the thresholds were compared with."""
    before = {rule.rule_id: (rule.outcome, rule.score) for rule in verdict.rules}
    after = {each.rule_id: (each.outcome, each.decision.score if each.decision else None) for each in rules}
    return before == after


def _as_stored(verdict: Verdict) -> Decision:
    return Decision(verdict.decision, verdict.flagged, verdict.score, verdict.category_scores, verdict.reason)
