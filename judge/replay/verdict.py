"""A whole verdict decided again."""

from __future__ import annotations

from dataclasses import dataclass

from judge.decide import Decision, decide
from judge.replay.conditions import Conditions
from judge.replay.rules import RuleReplay, replay_rule
from judge.replay.stored import Stored
from judge.types import Verdict


@dataclass(frozen=True, slots=True)
class Replay:
    """One verdict replayed. `decision` is None if it is unknown: no violation is known, and not all rules are."""

    rules: tuple[RuleReplay, ...]
    decision: Decision | None


def replay(verdict: Verdict, conditions: Conditions) -> Replay:
    """Decide the stored evidence again."""
    stored = Stored.of(verdict, conditions)
    found = [replay_rule(rule, stored, conditions) for rule in conditions.constitution.rules]
    rules = tuple(each for each in found if each is not None)
    known = [each.decision for each in rules if each.decision is not None]
    decided = decide(known)
    certain = len(known) == len(rules) or decided.label == "unsafe"
    return Replay(rules, decided if certain else None)
