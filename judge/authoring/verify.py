"""Three checks of a decomposition by the model, each a small prompt of its own, all of a round in one batch.

Each new precondition by itself; the expression in words against the rule; and cases of the truth table, which the
model decides from the rule without seeing the expression.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from judge.authoring.answers import CaseReview, PreconditionReview, RoundTripReview
from judge.authoring.ask import Question, Unanswered
from judge.authoring.attempt import Attempt, CheckedCase, Objection, visible_statements
from judge.authoring.cases import Case, covering_cases
from judge.authoring.prose import prose
from judge.authoring.render import as_data, case_prompt, precondition_prompt, round_trip_prompt
from judge.constitution import Precondition, parse
from judge.errors import EngineError
from judge.types import Prompt

Review = PreconditionReview | RoundTripReview | CaseReview
_QUALITIES = ("atomic", "positive", "visible", "neutral")


@dataclass(frozen=True, slots=True)
class Check:
    """One question to the verifier.

    Attributes:
        about: What it is about, for people.
        question: The question.
        case: The case that it asks about, if it does.
    """

    about: str
    question: Question[Review]
    case: Case | None = None


def checks(statement: str, attempt: Attempt, pool: Mapping[str, Precondition], *, max_cases: int) -> tuple[Check, ...]:
    """Everything to ask about an attempt whose expression is valid."""
    decomposition = attempt.decomposition
    expression, known = parse(decomposition.violated_when), visible_statements(decomposition, pool)
    return (
        *(
            Check(f"precondition '{new.id}'", Question(precondition_prompt(new.statement), PreconditionReview))
            for new in decomposition.preconditions
        ),
        Check("violated_when", Question(round_trip_prompt(statement, prose(expression, known)), RoundTripReview)),
        *(
            Check(in_words(case, known), Question(_case_prompt(statement, case, known), CaseReview), case)
            for case in covering_cases(expression, max_cases)
        ),
    )


def checked(attempt: Attempt, asked: Sequence[Check], answers: Sequence[Review | Unanswered]) -> Attempt:
    """The attempt with what the verifiers said, added to the objections it has."""
    pairs = list(zip(asked, answers, strict=True))
    cases = tuple(_checked_case(check.case, answer) for check, answer in pairs if check.case is not None)
    found = [objection for check, answer in pairs for objection in _objections(check, answer)]
    objections = (*attempt.objections, *found, *_one_sided(cases))
    return attempt.model_copy(update={"checked": True, "cases": cases, "objections": objections})


def in_words(case: Case, statements: Mapping[str, str]) -> str:
    """One line: what holds and what does not."""
    return "; ".join(f"{'so' if holds else 'not so'}: {as_data(statements[id])}" for id, holds in case.facts.items())


def _case_prompt(statement: str, case: Case, statements: Mapping[str, str]) -> Prompt:
    return case_prompt(statement, {statements[id]: holds for id, holds in case.facts.items()})


def _objections(check: Check, answer: Review | Unanswered) -> Iterator[Objection]:
    match answer:
        case PreconditionReview():
            failed = [quality for quality in _QUALITIES if not getattr(answer, quality)]
            if failed:
                text = f"{check.about} is not {', not '.join(failed)}: {answer.explanation}"
                yield Objection(kind="precondition", text=text)
        case RoundTripReview():
            for word, remarks in (("lacks", answer.missing), ("adds", answer.extra)):
                yield from (Objection(kind="round_trip", text=f"the expression {word}: {each}") for each in remarks)
        case CaseReview():
            assert check.case is not None
            if answer.breaks_rule != "impossible" and (answer.breaks_rule == "yes") != check.case.violated:
                ours, theirs = ("breaks", "keeps") if check.case.violated else ("keeps", "breaks")
                text = f"by the expression this picture {ours} the rule, by the rule as written it {theirs} it"
                text = f"{text}: {check.about}. {answer.explanation}"
                yield Objection(kind="case", text=text)
        case _:
            kind = "failed" if isinstance(answer, EngineError) else "unanswered"
            yield Objection(kind=kind, text=f"{check.about}: {answer}")


def _checked_case(case: Case, answer: Review | Unanswered) -> CheckedCase:
    if isinstance(answer, CaseReview):
        return CheckedCase(
            facts=case.facts, violated=case.violated, answer=answer.breaks_rule, explanation=answer.explanation
        )
    return CheckedCase(facts=case.facts, violated=case.violated, answer="unanswered", explanation=str(answer))


def _one_sided(cases: Iterable[CheckedCase]) -> Iterator[Objection]:
    """A table whose cases are all called impossible on one side has not been checked on that side."""
    for violated, words in ((True, "breaks"), (False, "keeps")):
        answers = {case.answer for case in cases if case.violated == violated}
        if answers == {"impossible"}:
            yield Objection(
                kind="case", text=f"every case that {words} the rule by the expression is called impossible"
            )
