"""Decomposed rules -> one constitution. A rule that could not be decomposed stays in force, asked as a whole.

Leaving it out would call everything that it forbids safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from judge.authoring.attempt import Decomposed
from judge.authoring.draft import Draft, DraftRule
from judge.authoring.pool import free_id, join
from judge.constitution import Constitution, Precondition, names, parse
from judge.errors import quoted


@dataclass(frozen=True, slots=True)
class Assembled:
    """The result.

    Attributes:
        draft: What to write.
        constitution: The same, as a judge would load it.
        notes: Rule id -> what a reviewer should know: merged, renamed and similar preconditions, and fallbacks.
    """

    draft: Draft
    constitution: Constitution
    notes: dict[str, tuple[str, ...]]


@dataclass(slots=True)
class _Work:
    pool: dict[str, Precondition]
    expressions: dict[str, str] = field(default_factory=dict)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)


def assemble(draft: Draft, records: Sequence[Decomposed], *, source: str) -> Assembled:
    """Joins the decompositions, reached rules first; drops preconditions that no rule uses any more.

    Args:
        source: Name of the result in errors.

    Raises:
        InvalidConstitution: The draft cannot become a constitution, for instance for a category that it lacks.
    """
    work = _Work({precondition.id: precondition for precondition in draft.preconditions})
    rules = {rule.id: rule for rule in draft.rules}
    reached = sorted((each for each in records if each.settled_at), key=lambda each: each.settled_at)
    for record in (*reached, *(each for each in records if not each.settled_at)):
        _add(work, rules[record.rule_id], record)
    used = {name for text in work.expressions.values() for name in names(parse(text))}
    result = draft.unreviewed().model_copy(
        update={
            "preconditions": tuple(part for id, part in work.pool.items() if id in used),
            "rules": tuple(_finished(rule, work.expressions[rule.id]) for rule in draft.rules),
        }
    )
    return Assembled(result, result.to_constitution(source), {id: notes for id, notes in work.notes.items() if notes})


def _add(work: _Work, rule: DraftRule, record: Decomposed) -> None:
    if record.best is not None:
        joined = join(work.pool, record.best.decomposition)
        work.pool, expression, notes = joined.pool, joined.violated_when, joined.notes
    elif rule.violated_when:
        expression, notes = rule.violated_when, ("the earlier violated_when was kept: no usable decomposition",)
    else:
        expression = free_id(rule.id, work.pool)
        work.pool[expression] = Precondition(id=expression, statement=record.statement)
        notes = (f"asked as a whole, as precondition {quoted(expression)}: no usable decomposition",)
    work.expressions[rule.id], work.notes[rule.id] = expression, notes


def _finished(rule: DraftRule, violated_when: str) -> DraftRule:
    return rule.model_copy(update={"statement": rule.violation, "violated_when": violated_when})
