"""One rule decided again from stored evidence, or why that cannot be known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from judge.config import Thresholds
from judge.constitution import Constitution, Rule, deciding, names
from judge.debias import missing_references, settle
from judge.decide import abstain, decide_rule
from judge.replay.conditions import Conditions
from judge.replay.meaning import entails, function_of, same
from judge.replay.stored import History, Stored, about_rule, histories_of
from judge.types import Evidence, RuleDecision, RuleOutcome

_FRAMES = "of several frames, only the readings of one are stored"
_TIME = "whether frames make a moment depends on those around them, whose readings are not stored"


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


def replay_rule(rule: Rule, stored: Stored, conditions: Conditions) -> RuleReplay | None:
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
    if stored.holistic or not stored.one_frame or stored.verdict.duration_ms is not None:
        return _carried(rule, stored, conditions) or _from_kept_frames(rule, stored, conditions)
    decision, unknown = _on_frame(rule, next(iter(stored.frames), 0), stored, conditions)
    return _settled(decision, unknown, stored)


def _settled(decision: RuleDecision, unknown: str, stored: Stored) -> RuleReplay:
    if unknown:
        return RuleReplay(decision.rule_id, None, unknown)
    if decision.outcome == "abstained" and stored.slow and not stored.same_rules:
        return RuleReplay(decision.rule_id, None, "slow stages might have been asked about it under these rules")
    return RuleReplay(decision.rule_id, decision)


def _carried(rule: Rule, stored: Stored, conditions: Conditions) -> RuleReplay | None:
    """The decision of a stored rule with the same meaning, which holds for all frames; None if there is none."""
    function = function_of(conditions.constitution, rule)
    was = stored.decisions.get(rule.id)
    if was is None or rule.id not in stored.functions or conditions.thresholds is not None:
        return None
    if not same(function, stored.functions[rule.id]) or not _carries(was, rule, conditions):
        return None
    if was.evidence and was.evidence[0].stage == "relevance" and was.severity != rule.severity:
        return None  # the scan spares rules by their severity
    header = {"category": rule.category, "severity": rule.severity, "expression": rule.violated_when}
    kept = was.model_copy(update={**header, "evidence": _relabelled(was, rule, conditions.constitution)})
    return _settled(kept, "", stored)


def _relabelled(was: RuleDecision, rule: Rule, constitution: Constitution) -> tuple[Evidence, ...]:
    """The evidence under the new ids, in the order of the new expression; what is about the rule itself stays last."""
    by_statement = {history[0].statement: history for history in histories_of(was).values()}
    ids = names(constitution.expression(rule.id))
    histories = {id: by_statement.get(constitution.precondition(id).statement, ()) for id in ids}
    about = tuple(_under(item, id) for id, history in histories.items() for item in history)
    return (*about, *(item for item in was.evidence if about_rule(item, was)))


def _carries(was: RuleDecision, rule: Rule, conditions: Conditions) -> bool:
    """Whether the rule is also the same to the stages that read its own words, and was asked in the same words."""
    for item in was.evidence:
        if about_rule(item, was) and item.statement != rule.statement:
            return False
        if item.template_digest and item.template_digest not in conditions.templates:
            return False
    return True


def _from_kept_frames(rule: Rule, stored: Stored, conditions: Conditions) -> RuleReplay:
    """Violated if some kept frame shows it; not violated if it implies a stored rule that no frame violates."""
    if stored.holistic:
        return RuleReplay(rule.id, None, "rules were scanned or read as a whole, which depends on their words")
    if stored.verdict.duration_ms is not None:
        return RuleReplay(rule.id, None, _TIME)
    for frame_index in stored.frames:
        decision, unknown = _on_frame(rule, frame_index, stored, conditions)
        if not unknown and decision.outcome == "violated":
            return RuleReplay(rule.id, decision)
    function = function_of(conditions.constitution, rule)
    for id, was in stored.decisions.items():
        sound = conditions.thresholds is None and _in_use(was.evidence, conditions)
        if sound and was.outcome == "not_violated" and id in stored.functions and entails(
            function, stored.functions[id]
        ):  # fmt: skip
            decision, _ = _on_frame(rule, was.frame_index, stored, conditions)
            not_violated = {"outcome": "not_violated", "stage": was.stage, "reason": ""}
            return RuleReplay(rule.id, decision.model_copy(update=not_violated))
    return RuleReplay(rule.id, None, _FRAMES)


def _on_frame(rule: Rule, frame_index: int, stored: Stored, conditions: Conditions) -> tuple[RuleDecision, str]:
    """The rule decided from one frame's evidence, and why that is not certain; empty if it is."""
    constitution, frame = conditions.constitution, stored.frames.get(frame_index, {})
    expression = constitution.expression(rule.id)
    histories: dict[str, History] = {}
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


def _history(name: str, found: History | None, conditions: Conditions) -> History | str:
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
