"""Rule text -> objective statement: score it several times, rewrite it with the remarks, and score again.

Source: CLUE (arXiv 2501.00192), its objectification of rules. There one score decides, and nothing checks that the
rewritten rule still means the same: here the mean of several decides, each scoring also says whether the statement is
faithful to the rule, the rounds are bounded, and all of it is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Annotated, Literal

from pydantic import Field

from judge.authoring.answers import Rewriting, Scoring
from judge.authoring.ask import Asker, Question, Unanswered
from judge.authoring.draft import Draft, DraftRule
from judge.authoring.render import rewrite_prompt, score_prompt
from judge.errors import EngineError
from judge.types import Prompt, Wire

Stop = Literal["reached", "capped", "no_progress", "unreadable", "failed"]
"""Why it ended. `no_progress`: an earlier version came back; `unreadable`: the model's answers could not be read;
`failed`: the engine failed."""


class ObjectifySettings(Wire):
    """How hard to try."""

    scorings: Annotated[int, Field(ge=1, le=50)] = 3
    """Readings of one version; their mean counts."""
    threshold: Annotated[float, Field(ge=1.0, le=10.0)] = 9.0
    """Mean score that is enough."""
    max_rounds: Annotated[int, Field(ge=1, le=20)] = 4
    """Most versions of a rule, its own text included."""
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 0.7
    """Of scorings and rewritings."""


class Version(Wire):
    """One wording and what was said of it."""

    statement: str
    """The wording."""
    scorings: tuple[Scoring, ...] = ()
    """Readings that could be read; empty until it is scored."""
    unread: tuple[str, ...] = ()
    """Why the other readings could not."""
    mean: float | None = None
    """Mean score; None if it has none."""
    spread: float | None = None
    """Highest minus lowest score."""
    faithful: bool | None = None
    """Whether most readings call it faithful to the rule."""


class Objectified(Wire):
    """The history of one rule."""

    rule_id: str
    """Id in the draft."""
    text: str
    """The rule as a person wrote it."""
    versions: tuple[Version, ...]
    """In the order of writing; the first is the text itself."""
    stop: Stop | None = None
    """None while it goes on."""
    reason: str = ""
    """More about `stop`, in words."""

    @property
    def best(self) -> Version:
        """The faithful version with the highest mean, else the highest of all; of equals the earliest."""
        return max(self.versions, key=lambda version: (bool(version.faithful), version.mean or 0.0))


async def objectify(
    rules: Sequence[DraftRule],
    asker: Asker,
    settings: ObjectifySettings,
    *,
    earlier: Mapping[str, Objectified] | None = None,
    on_round: Callable[[Sequence[Objectified]], None] = lambda records: None,
) -> list[Objectified]:
    """One record per rule, in order. Every round asks about all open rules at once.

    Args:
        earlier: Records of an interrupted run by rule id; open ones are continued.
        on_round: Called with all records after each round, for progress and for keeping them.
    """
    known = earlier or {}
    records = [known.get(rule.id) or _begin(rule) for rule in rules]
    while any(record.stop is None for record in records):
        for step in (_score_all, _rewrite_all):
            records = await step(records, asker, settings)
            on_round(records)
    return records


def reopened(record: Objectified) -> Objectified:
    """A record that ended because the engine failed, ready to go on where it failed; any other as it is."""
    if record.stop != "failed":
        return record
    last = record.versions[-1]
    last = Version(statement=last.statement) if last.unread else last
    return record.model_copy(update={"versions": (*record.versions[:-1], last), "stop": None, "reason": ""})


def with_statements(draft: Draft, records: Iterable[Objectified]) -> Draft:
    """The draft with the best statement of each rule, under a version of its own.

    Where no version is faithful to its rule the earlier statement stays, or none: a statement that means something
    else, or the reverse, would be taken at its word.
    """
    best = {record.rule_id: record.best.statement for record in records if record.best.faithful}
    rules = tuple(
        rule.model_copy(update={"statement": best[rule.id]}) if rule.id in best else rule for rule in draft.rules
    )
    return draft.unreviewed().model_copy(update={"rules": rules})


def _begin(rule: DraftRule) -> Objectified:
    return Objectified(rule_id=rule.id, text=rule.text, versions=(Version(statement=rule.text),))


async def _score_all(records: list[Objectified], asker: Asker, settings: ObjectifySettings) -> list[Objectified]:
    n = settings.scorings
    waiting = [row for row, record in enumerate(records) if record.stop is None and record.versions[-1].mean is None]
    questions = [
        Question(
            score_prompt(record.text, record.versions[-1].statement, reading=reading, readings=n),
            Scoring,
            settings.temperature,
        )
        for record in (records[row] for row in waiting)
        for reading in range(1, n + 1)
    ]
    answers = await asker.ask(questions)
    changed = list(records)
    for place, row in enumerate(waiting):
        changed[row] = _scored(records[row], answers[place * n : (place + 1) * n], settings)
    return changed


def _scored(record: Objectified, answers: Sequence[Scoring | Unanswered], settings: ObjectifySettings) -> Objectified:
    read = tuple(answer for answer in answers if isinstance(answer, Scoring))
    errors = [answer for answer in answers if not isinstance(answer, Scoring)]
    scores = [scoring.score for scoring in read]
    version = Version(
        statement=record.versions[-1].statement,
        scorings=read,
        unread=tuple(str(error) for error in errors),
        mean=fmean(scores) if scores else None,
        spread=max(scores) - min(scores) if scores else None,
        faithful=2 * sum(scoring.faithful for scoring in read) > len(read) if scores else None,
    )
    record = record.model_copy(update={"versions": (*record.versions[:-1], version)})
    if 2 * len(read) <= len(answers):
        return _stopped(record, _kind(errors), f"{len(errors)} of {len(answers)} scorings have no answer")
    if version.mean is not None and version.mean >= settings.threshold and version.faithful:
        return _stopped(record, "reached", "")
    if len(record.versions) >= settings.max_rounds:
        return _stopped(record, "capped", f"{len(record.versions)} versions stayed below the threshold or unfaithful")
    return record


async def _rewrite_all(records: list[Objectified], asker: Asker, settings: ObjectifySettings) -> list[Objectified]:
    waiting = [row for row, record in enumerate(records) if record.stop is None]
    questions = [Question(_rewrite(records[row]), Rewriting, settings.temperature) for row in waiting]
    changed = list(records)
    for row, answer in zip(waiting, await asker.ask(questions), strict=True):
        changed[row] = _rewritten(records[row], answer)
    return changed


def _rewrite(record: Objectified) -> Prompt:
    remarks = [
        (version.statement, version.mean or 0.0, [_remark(scoring) for scoring in version.scorings])
        for version in record.versions
    ]
    return rewrite_prompt(record.text, remarks)


def _remark(scoring: Scoring) -> str:
    return scoring.explanation if scoring.faithful else f"Not faithful to the rule. {scoring.explanation}"


def _rewritten(record: Objectified, answer: Rewriting | Unanswered) -> Objectified:
    if not isinstance(answer, Rewriting):
        return _stopped(record, _kind([answer]), str(answer))
    if answer.statement.casefold() in {version.statement.casefold() for version in record.versions}:
        return _stopped(record, "no_progress", "the rewriting repeats an earlier version")
    return record.model_copy(update={"versions": (*record.versions, Version(statement=answer.statement))})


def _kind(errors: Sequence[Unanswered]) -> Stop:
    return "failed" if any(isinstance(error, EngineError) for error in errors) else "unreadable"


def _stopped(record: Objectified, stop: Stop, reason: str) -> Objectified:
    return record.model_copy(update={"stop": stop, "reason": reason})
