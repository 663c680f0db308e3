"""What a stored verdict would be under another constitution or other thresholds, without running the model. Pure.

A reading belongs to a statement, not to an id: a precondition takes over what was read of the same statement in the
same frame. Whatever the stored evidence does not settle is unknown, never taken to be unchanged:
- a precondition that was never asked, was asked in other words, or lacks a reading that the thresholds need;
- of media with several frames, whose verdict keeps one frame per rule, all but: a rule that means what a stored one
  means; a violation that a kept frame proves; a rule that implies one which no frame violates;
- rules that a stage decided from more than the preconditions (relevance scan, whole-rule reading, a debate
  about the rule), unless unchanged;
- an abstention after slow stages: which questions they get depends on all rules.
The model, and what the slow stages answered, are taken as they were; so is an abstention of the whole media.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from judge.config import Cascade, Thresholds
from judge.constitution import Constitution, Expression, Rule, deciding, evaluate, names, parse
from judge.constitution.compare import implies, renamed
from judge.constitution.diagram import diagram
from judge.debias import missing_references, settle
from judge.decide import Decision, abstain, decide, decide_rule, why_open
from judge.errors import ConstitutionError
from judge.types import Evidence, Outcome, RuleDecision, RuleOutcome, Stage, Verdict

_HOLISTIC: tuple[Stage, ...] = ("relevance", "rule_whole", "policy_direct")
"""Stages whose evidence is about a rule, not about a precondition."""
_FRAMES = "of several frames, only the readings of one are stored"

_History = tuple[Evidence, ...]
"""What was learned of one precondition on one frame, stage by stage; the last one counts."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what to replay.

    Attributes:
        constitution: The new one.
        templates: Digests of the prompt templates in use; evidence asked with others does not count.
        thresholds: Settle the readings anew with these; None = keep what was settled.
        made_under: The constitution of the verdict, if it is at hand: tells more of rules that were not asked.
    """

    constitution: Constitution
    templates: frozenset[str]
    thresholds: Thresholds | None = None
    made_under: Constitution | None = None


@dataclass(frozen=True, slots=True)
class RuleReplay:
    """One rule of the new constitution.

    Attributes:
        decision: What it would be, with the stored evidence; None if unknown. Its score counts a precondition that
            was not asked, and could not change the outcome, as one half.
        unknown: Why it is unknown; empty if it is not.
    """

    rule_id: str
    decision: RuleDecision | None
    unknown: str = ""

    @property
    def outcome(self) -> RuleOutcome | None:
        """None if unknown."""
        return self.decision.outcome if self.decision else None


@dataclass(frozen=True, slots=True)
class Replay:
    """One verdict replayed. `decision` is None if it is unknown: no violation is known, and not all rules are."""

    rules: tuple[RuleReplay, ...]
    decision: Decision | None


def replay(verdict: Verdict, conditions: Conditions) -> Replay:
    """Decide the stored evidence again."""
    stored = _Stored.of(verdict, conditions)
    found = [_rule(rule, stored, conditions) for rule in conditions.constitution.rules]
    rules = tuple(each for each in found if each is not None)
    known = [each.decision for each in rules if each.decision is not None]
    decided = decide(known)
    certain = len(known) == len(rules) or decided.label == "unsafe"
    return Replay(rules, decided if certain else None)


@dataclass(frozen=True, slots=True)
class _Stored:
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
    frames: Mapping[int, Mapping[str, _History]]
    forced: str
    same_rules: bool
    slow: bool
    decisions: Mapping[str, RuleDecision] = field(default_factory=dict)

    @classmethod
    def of(cls, verdict: Verdict, conditions: Conditions) -> _Stored:
        statements = _statements(verdict, conditions.made_under)
        functions = {rule.rule_id: over for rule in verdict.rules if (over := _function(rule, statements)) is not None}
        forced = {rule.rule_id: rule.reason for rule in verdict.rules if _is_forced(rule)}
        bare = not any(rule.evidence for rule in verdict.rules)
        whole = len(forced) == len(verdict.rules) > 0 and (verdict.n_frames == 1 or bare)
        asking = [each for each in conditions.constitution.rules if verdict.media_kind in each.modalities]
        new = {each.id: _new_function(conditions.constitution, each) for each in asking}
        return cls(
            verdict=verdict,
            functions=functions,
            frames=_frames([rule for rule in verdict.rules if rule.rule_id not in forced or whole]),
            forced=next(iter(forced.values())) if whole else "",
            same_rules=new.keys() == functions.keys() and all(_same(new[id], functions[id]) for id in new),
            slow=verdict.versions.cascade not in ("", Cascade().digest),
            decisions={rule.rule_id: rule for rule in verdict.rules},
        )

    @property
    def one_frame(self) -> bool:
        return self.verdict.n_frames == 1

    @property
    def holistic(self) -> bool:
        """Whether some rule was decided from more than its preconditions."""
        return any(_about_rule(item, rule) for rule in self.verdict.rules for item in rule.evidence)


def _rule(rule: Rule, stored: _Stored, conditions: Conditions) -> RuleReplay | None:
    """None if the rule does not apply to this kind of media."""
    kind = stored.verdict.media_kind
    if kind is not None and kind not in rule.modalities:
        return None
    if kind is None and not {"image", "video"} <= set(rule.modalities):
        return RuleReplay(rule.id, None, "the stored verdict does not say whether the media is an image or a video")
    if conditions.thresholds is not None and stored.slow:
        return RuleReplay(rule.id, None, "other thresholds would have sent other questions to the slow stages")
    if stored.forced:
        replayed, _ = _on_frame(rule, next(iter(stored.frames), 0), stored, conditions)
        return RuleReplay(rule.id, abstain(replayed, stored.forced))
    if stored.holistic or not stored.one_frame:
        return _carried(rule, stored, conditions) or _from_kept_frames(rule, stored, conditions)
    decision, unknown = _on_frame(rule, next(iter(stored.frames), 0), stored, conditions)
    return _settled(decision, unknown, stored)


def _settled(decision: RuleDecision, unknown: str, stored: _Stored) -> RuleReplay:
    if unknown:
        return RuleReplay(decision.rule_id, None, unknown)
    if decision.outcome == "abstained" and stored.slow and not stored.same_rules:
        return RuleReplay(decision.rule_id, None, "slow stages might have been asked about it under these rules")
    return RuleReplay(decision.rule_id, decision)


def _carried(rule: Rule, stored: _Stored, conditions: Conditions) -> RuleReplay | None:
    """The decision of a stored rule with the same meaning, which holds for all frames; None if there is none."""
    function = _new_function(conditions.constitution, rule)
    was = stored.decisions.get(rule.id)
    if was is None or rule.id not in stored.functions or conditions.thresholds is not None:
        return None
    if not _same(function, stored.functions[rule.id]) or not _carries(was, rule, conditions):
        return None
    if was.evidence and was.evidence[0].stage == "relevance" and was.severity != rule.severity:
        return None  # the scan spares rules by their severity
    header = {"category": rule.category, "severity": rule.severity, "expression": rule.violated_when}
    kept = was.model_copy(update={**header, "evidence": _relabelled(was, rule, conditions.constitution)})
    return _settled(kept, "", stored)


def _relabelled(was: RuleDecision, rule: Rule, constitution: Constitution) -> tuple[Evidence, ...]:
    """The evidence under the new ids, in the order of the new expression; what is about the rule itself stays last."""
    by_statement = {history[0].statement: history for history in _histories(was).values()}
    ids = names(constitution.expression(rule.id))
    histories = {id: by_statement.get(constitution.precondition(id).statement, ()) for id in ids}
    about = tuple(_under(item, id) for id, history in histories.items() for item in history)
    return (*about, *(item for item in was.evidence if _about_rule(item, was)))


def _carries(was: RuleDecision, rule: Rule, conditions: Conditions) -> bool:
    """Whether the rule is also the same to the stages that read its own words, and was asked in the same words."""
    for item in was.evidence:
        if _about_rule(item, was) and item.statement != rule.statement:
            return False
        if item.template_digest and item.template_digest not in conditions.templates:
            return False
    return True


def _from_kept_frames(rule: Rule, stored: _Stored, conditions: Conditions) -> RuleReplay:
    """Violated if some kept frame shows it; not violated if it implies a stored rule that no frame violates."""
    if stored.holistic:
        return RuleReplay(rule.id, None, "rules were scanned or read as a whole, which depends on their words")
    for frame_index in stored.frames:
        decision, unknown = _on_frame(rule, frame_index, stored, conditions)
        if not unknown and decision.outcome == "violated":
            return RuleReplay(rule.id, decision)
    function = _new_function(conditions.constitution, rule)
    for id, was in stored.decisions.items():
        sound = conditions.thresholds is None and _in_use(was.evidence, conditions)
        if sound and was.outcome == "not_violated" and id in stored.functions and _implies(
            function, stored.functions[id]
        ):  # fmt: skip
            decision, _ = _on_frame(rule, was.frame_index, stored, conditions)
            not_violated = {"outcome": "not_violated", "stage": was.stage, "reason": ""}
            return RuleReplay(rule.id, decision.model_copy(update=not_violated))
    return RuleReplay(rule.id, None, _FRAMES)


def _on_frame(rule: Rule, frame_index: int, stored: _Stored, conditions: Conditions) -> tuple[RuleDecision, str]:
    """The rule decided from one frame's evidence, and why that is not certain; empty if it is."""
    constitution, frame = conditions.constitution, stored.frames.get(frame_index, {})
    expression = constitution.expression(rule.id)
    histories: dict[str, _History] = {}
    unknown: dict[str, str] = {}
    for name in names(expression):
        found = _history(name, frame.get(constitution.precondition(name).statement), conditions)
        if isinstance(found, str):
            unknown[name] = found
        else:
            histories[name] = found
    decision = decide_rule(constitution, rule, {name: each[-1] for name, each in histories.items()}, frame_index)
    evidence = tuple(item for name in names(expression) for item in histories.get(name, ()))
    decision = decision.model_copy(update={"evidence": evidence})
    outcomes = {name: each[-1].outcome for name, each in histories.items()}
    reasons = [f"{name} {unknown[name]}" for name in sorted(deciding(expression, outcomes) & unknown.keys())]
    return decision, "; ".join(reasons)


def _history(name: str, found: _History | None, conditions: Conditions) -> _History | str:
    """The evidence as it would be, or why that is unknown."""
    if found is None:
        return "was never asked"
    if not _in_use(found, conditions):
        return "was asked with another prompt template"
    if conditions.thresholds is not None:
        missing = [item for item in found if item.readings and missing_references(item.readings, conditions.thresholds)]
        if missing:
            return "lacks a reading that these thresholds need"
        found = tuple(_resettled(item, name, conditions.thresholds) for item in found)
    return tuple(_under(item, name) for item in found)


def _under(item: Evidence, name: str) -> Evidence:
    return item.model_copy(update={"precondition_id": name})


def _in_use(evidence: Sequence[Evidence], conditions: Conditions) -> bool:
    return all(item.template_digest in conditions.templates for item in evidence)


def _resettled(item: Evidence, name: str, thresholds: Thresholds) -> Evidence:
    if item.readings is None:  # no readable answer: undecided under any thresholds
        return item
    settled = settle(item.readings, thresholds, name)
    return item.model_copy(
        update={"outcome": settled.outcome, "probability": settled.probability, "reason": settled.reason}
    )


def _is_forced(rule: RuleDecision) -> bool:
    """Abstained for another reason than its evidence: outside the model's domain, a failed engine."""
    if rule.outcome != "abstained" or any(_about_rule(item, rule) for item in rule.evidence):
        return False
    expression = _parsed(rule.expression)
    last = {item.precondition_id: item for item in rule.evidence}
    outcomes: dict[str, Outcome] = {name: item.outcome for name, item in last.items()}
    if expression is None:
        return False
    return evaluate(expression, outcomes) != "undecided" or why_open(expression, last) != rule.reason


def _about_rule(item: Evidence, rule: RuleDecision) -> bool:
    """Not about a precondition, which has been asked about before it is debated; ids of both kinds may be equal."""
    if item.stage != "debate" or item.precondition_id != rule.rule_id:
        return item.stage in _HOLISTIC
    asked = {(each.precondition_id, each.statement) for each in rule.evidence if each.stage != "debate"}
    return (item.precondition_id, item.statement) not in asked


def _frames(rules: Sequence[RuleDecision]) -> dict[int, dict[str, _History]]:
    frames: dict[int, dict[str, _History]] = {}
    for rule in rules:
        known = frames.setdefault(rule.frame_index, {})
        for history in _histories(rule).values():
            known.setdefault(history[0].statement, history)
    return frames


def _histories(rule: RuleDecision) -> dict[str, _History]:
    """By precondition id."""
    histories: dict[str, _History] = {}
    for item in rule.evidence:
        if not _about_rule(item, rule):
            histories[item.precondition_id] = (*histories.get(item.precondition_id, ()), item)
    return histories


def _statements(verdict: Verdict, made_under: Constitution | None) -> dict[str, str]:
    """Precondition id -> what was asked."""
    found = {
        item.precondition_id: item.statement
        for rule in verdict.rules
        for item in rule.evidence
        if not _about_rule(item, rule)
    }
    if made_under is not None and made_under.digest == verdict.versions.constitution:
        found |= {each.id: each.statement for each in made_under.preconditions}
    return found


def _function(rule: RuleDecision, statements: Mapping[str, str]) -> Expression | None:
    """A stored rule over statements; None if it cannot be read or some statement is not known."""
    expression = _parsed(rule.expression)
    if expression is None or not statements.keys() >= set(names(expression)):
        return None
    return renamed(expression, statements)


def _new_function(constitution: Constitution, rule: Rule) -> Expression:
    expression = constitution.expression(rule.id)
    return renamed(expression, {name: constitution.precondition(name).statement for name in names(expression)})


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Expression | None:
    """None if it is no expression, or one that cannot be evaluated."""
    try:
        expression = parse(text)
        diagram(expression)
    except ConstitutionError:
        return None
    return expression


@lru_cache(maxsize=4096)
def _same(a: Expression, b: Expression) -> bool:
    """Equal meaning over the same statements: also which questions are asked is the same."""
    if a == b:
        return True
    return set(names(a)) == set(names(b)) and _implies(a, b) and _implies(b, a)


@lru_cache(maxsize=4096)
def _implies(a: Expression, b: Expression) -> bool:
    """False also if it is too entangled to say."""
    try:
        return implies(a, b)
    except ConstitutionError:
        return False
