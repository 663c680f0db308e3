"""The record of one rule's decomposition, attempt by attempt, and what code alone can object to an attempt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from judge.authoring.answers import Decomposition
from judge.authoring.draft import Draft, DraftRule
from judge.authoring.pool import same_words
from judge.constitution import Precondition, check_text, names, parse
from judge.types import Wire

Stop = Literal["reached", "capped", "no_progress", "unreadable", "failed"]
"""Why it ended. `no_progress`: an earlier attempt came back; `unreadable`: the model's answers could not be read;
`failed`: the engine failed."""


class Objection(Wire):
    """One thing that is wrong, or could not be established."""

    kind: Literal["invalid", "check", "precondition", "round_trip", "case", "unanswered", "failed"]
    """Who objects. `invalid`, `check`: the constitution's own check, as an error or as advice; then the three
    verifiers; `unanswered`, `failed`: a verifier that gave no readable answer, or whose engine failed."""
    text: str
    """For the model and for people."""


class CheckedCase(Wire):
    """One row of the truth table, shown to the model in words."""

    facts: Mapping[str, bool]
    """Precondition id -> whether it holds."""
    violated: bool
    """What the expression says."""
    answer: Literal["yes", "no", "impossible", "unanswered"]
    """What the model says of the rule as written."""
    explanation: str = ""
    """Why, by the model."""


class Attempt(Wire):
    """One decomposition and what was said of it."""

    decomposition: Decomposition
    """As the model wrote it; ids refer to itself first, then to the preconditions that existed."""
    prose: str = ""
    """Its expression in words; empty if it is invalid."""
    checked: bool = False
    """Whether all verifiers have been asked."""
    cases: tuple[CheckedCase, ...] = ()
    """The truth table."""
    objections: tuple[Objection, ...] = ()
    """Empty once checked = it passed."""

    @property
    def valid(self) -> bool:
        """Whether a constitution could hold it."""
        return all(objection.kind != "invalid" for objection in self.objections)


class Decomposed(Wire):
    """The history of one rule."""

    rule_id: str
    """Id in the draft."""
    statement: str
    """The statement that is decomposed."""
    attempts: tuple[Attempt, ...] = ()
    """In the order of writing."""
    stop: Stop | None = None
    """None while it goes on."""
    reason: str = ""
    """More about `stop`, in words."""
    settled_at: int = 0
    """1, 2, 3... in the order in which rules were reached: their preconditions join the shared ones in this order."""

    @property
    def best(self) -> Attempt | None:
        """The valid, checked attempt with the fewest objections, of equals the latest; None if there is none."""
        usable = [attempt for attempt in self.attempts if attempt.valid and attempt.checked]
        return min(reversed(usable), key=lambda attempt: len(attempt.objections), default=None)


def visible_statements(decomposition: Decomposition, pool: Mapping[str, Precondition]) -> dict[str, str]:
    """Id -> statement of everything that the expression may name; its own preconditions come before the pool's."""
    own = {new.id: new.statement for new in decomposition.preconditions}
    return {id: known.statement for id, known in pool.items()} | own


def own_objections(decomposition: Decomposition, pool: Mapping[str, Precondition]) -> tuple[Objection, ...]:
    """What the constitution's own check says of a policy with this rule alone."""
    own = [Precondition(id=new.id, statement=new.statement, focus=new.focus) for new in decomposition.preconditions]
    own_ids = [precondition.id for precondition in own]
    borrowed = [pool[id] for id in names(parse(decomposition.violated_when)) if id in pool and id not in own_ids]
    parts = [*own, *borrowed]
    repeats = [
        Objection(kind="invalid", text=f"two preconditions have the id or the words of '{later.id}': keep one")
        for row, later in enumerate(parts)
        if any(one.id == later.id or same_words(one.statement, later.statement) for one in parts[:row])
    ]
    if repeats:
        return tuple(repeats)
    # One rule that stands for all: its words are not what is checked here.
    rule = DraftRule(id="rule", text="-", statement="-", violated_when=decomposition.violated_when, source="-")
    return tuple(_check(Draft(preconditions=tuple(parts), rules=(rule,)), own_ids))


def _check(draft: Draft, own_ids: list[str]) -> Iterator[Objection]:
    """Errors, and the advice that concerns what the attempt itself wrote."""
    for problem in check_text(draft.to_yaml(), "draft"):
        text = ": ".join(part for part in (problem.where, problem.message) if part)
        text += f" ({problem.fix})" if problem.fix else ""
        if problem.severity == "error":
            yield Objection(kind="invalid", text=text)
        elif problem.path[0] == "rules" or problem.path[1] in own_ids:
            yield Objection(kind="check", text=text)
