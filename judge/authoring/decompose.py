"""Objective statement -> shared preconditions and an expression over them, checked by code and by the model.

Source: CLUE (arXiv 2501.00192), its precondition extraction: there a rule becomes a conjunction, and nothing tests
whether it is complete. Here every attempt is checked (`verify`), and objections go back to the author until none is
left or the rounds are used up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Annotated

from pydantic import Field

from judge.authoring.answers import Decomposition
from judge.authoring.ask import Asker, Question, Unanswered
from judge.authoring.attempt import Attempt, Decomposed, Stop, own_objections, visible_statements
from judge.authoring.cases import MAX_CASES
from judge.authoring.draft import Draft
from judge.authoring.pool import join
from judge.authoring.prose import prose
from judge.authoring.render import decompose_prompt
from judge.authoring.verify import checked, checks
from judge.constitution import Precondition, parse
from judge.errors import EngineError
from judge.types import Prompt, Wire

Pool = Mapping[str, Precondition]
_SILENT = frozenset({"unanswered", "failed"})
"""Objections that say nothing about the decomposition: the author is not asked to mend them."""


class DecomposeSettings(Wire):
    """How hard to try."""

    max_rounds: Annotated[int, Field(ge=1, le=20)] = 4
    """Most attempts at a rule."""
    max_cases: Annotated[int, Field(ge=2, le=64)] = MAX_CASES
    """Cases of one truth table; more only where fewer would leave a precondition out."""
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 0.3
    """Of the author. Verifiers do not sample."""


async def decompose(
    draft: Draft,
    asker: Asker,
    settings: DecomposeSettings,
    *,
    earlier: Mapping[str, Decomposed] | None = None,
    on_round: Callable[[Sequence[Decomposed]], None] = lambda records: None,
) -> list[Decomposed]:
    """One record per rule, in order. Every round asks about all open rules at once.

    Args:
        earlier: Records of an interrupted run by rule id; open ones are continued.
        on_round: Called with all records after each round, for progress and for keeping them.
    """
    known = earlier or {}
    records = [known.get(rule.id) or Decomposed(rule_id=rule.id, statement=rule.violation) for rule in draft.rules]
    while any(record.stop is None for record in records):
        pool = pool_of(draft.preconditions, records)
        for step in (_write_all, _check_all):
            records = await step(records, pool, asker, settings)
            on_round(records)
    return records


def reopened(record: Decomposed) -> Decomposed:
    """A record that ended because the engine failed, ready to go on before that attempt; any other as it is."""
    if record.stop != "failed":
        return record
    whole = tuple(each for each in record.attempts if all(o.kind != "failed" for o in each.objections))
    return record.model_copy(update={"attempts": whole, "stop": None, "reason": ""})


def pool_of(existing: Iterable[Precondition], records: Iterable[Decomposed]) -> dict[str, Precondition]:
    """The existing preconditions and those of all reached rules, by id: what a new decomposition may use.

    Rules join in the order in which they were reached, so that an id, once it has been shown, keeps its meaning.
    """
    pool = {precondition.id: precondition for precondition in existing}
    for record in sorted(records, key=lambda record: record.settled_at):
        if record.stop == "reached" and record.best is not None:
            pool = join(pool, record.best.decomposition).pool
    return pool


async def _write_all(
    records: list[Decomposed], pool: Pool, asker: Asker, settings: DecomposeSettings
) -> list[Decomposed]:
    waiting = [row for row, record in enumerate(records) if record.stop is None and not _open_attempt(record)]
    questions = [Question(_prompt(records[row], pool), Decomposition, settings.temperature) for row in waiting]
    changed = list(records)
    for row, answer in zip(waiting, await asker.ask(questions), strict=True):
        changed[row] = _written(records[row], answer, pool)
    return changed


def _open_attempt(record: Decomposed) -> Attempt | None:
    last = record.attempts[-1] if record.attempts else None
    return last if last is not None and not last.checked else None


def _prompt(record: Decomposed, pool: Pool) -> Prompt:
    attempts = [
        (
            attempt.decomposition.model_dump_json(),
            [each.text for each in attempt.objections if each.kind not in _SILENT],
        )
        for attempt in record.attempts
    ]
    return decompose_prompt(record.statement, tuple(pool.values()), attempts)


def _written(record: Decomposed, answer: Decomposition | Unanswered, pool: Pool) -> Decomposed:
    if not isinstance(answer, Decomposition):
        return _stopped(record, "failed" if isinstance(answer, EngineError) else "unreadable", str(answer))
    if any(attempt.decomposition == answer for attempt in record.attempts):
        return _stopped(record, "no_progress", "the model repeats an earlier attempt")
    objections = own_objections(answer, pool)
    attempt = Attempt(decomposition=answer, objections=objections)
    if attempt.valid:
        words = prose(parse(answer.violated_when), visible_statements(answer, pool))
        attempt = attempt.model_copy(update={"prose": words})
    else:
        attempt = attempt.model_copy(update={"checked": True})  # the verifiers have nothing to look at
    return record.model_copy(update={"attempts": (*record.attempts, attempt)})


async def _check_all(
    records: list[Decomposed], pool: Pool, asker: Asker, settings: DecomposeSettings
) -> list[Decomposed]:
    asked = {
        row: checks(record.statement, attempt, pool, max_cases=settings.max_cases)
        for row, record in enumerate(records)
        if record.stop is None and (attempt := _open_attempt(record))
    }
    answers = iter(await asker.ask([check.question for part in asked.values() for check in part]))
    changed = list(records)
    for row, part in asked.items():
        attempt = checked(records[row].attempts[-1], part, [next(answers) for _ in part])
        changed[row] = records[row].model_copy(update={"attempts": (*records[row].attempts[:-1], attempt)})
    return _number([_settled(record, settings) for record in changed])


def _settled(record: Decomposed, settings: DecomposeSettings) -> Decomposed:
    if record.stop is not None:
        return record
    kinds = {objection.kind for objection in record.attempts[-1].objections}
    if not kinds:
        return _stopped(record, "reached", "")
    if kinds <= _SILENT:
        return _stopped(record, "failed" if "failed" in kinds else "unreadable", "some checks have no answer")
    if len(record.attempts) >= settings.max_rounds:
        return _stopped(record, "capped", f"objections are left after {len(record.attempts)} attempts")
    return record


def _number(records: list[Decomposed]) -> list[Decomposed]:
    numbers = count(1 + max((record.settled_at for record in records), default=0))
    return [
        record.model_copy(update={"settled_at": next(numbers)})
        if record.stop == "reached" and not record.settled_at
        else record
        for record in records
    ]


def _stopped(record: Decomposed, stop: Stop, reason: str) -> Decomposed:
    return record.model_copy(update={"stop": stop, "reason": reason})
