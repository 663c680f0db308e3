"""What the model is asked to answer, and the only way an answer is read: one JSON object, exactly as asked.

Nothing is mended and nothing is guessed: "9/10" is no score, and a missing field has no default.
"""

from __future__ import annotations

import json
import re
from typing import Annotated, Literal, NoReturn, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from judge.constitution.schema import ExpressionText, Id, Line
from judge.errors import AnswerError
from judge.types import Generation

MAX_ITEMS = 32
"""Preconditions, or remarks, in one answer."""
_MAX_PROBLEMS = 3
_FENCED = re.compile(r"```(?:json)?[ \t]*\n(.*)\n[ \t]*```", re.DOTALL)

ShortText = Annotated[Line, StringConstraints(max_length=1_000)]
LongText = Annotated[Line, StringConstraints(max_length=4_000)]


class Answer(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Scoring(Answer):
    """How objective a statement is, by one reading."""

    explanation: LongText
    """Why, in a sentence or two; comes first, so that the number follows from it."""
    faithful: bool
    """Whether the statement is true of exactly the pictures that break the rule."""
    score: Annotated[float, Field(ge=1.0, le=10.0, allow_inf_nan=False)]
    """1 = a matter of opinion, 10 = a matter of measurement."""


class Rewriting(Answer):
    """A new version of a statement."""

    statement: ShortText
    """True of exactly the pictures that break the rule."""


class NewPrecondition(Answer):
    """A precondition that the decomposition adds."""

    id: Id
    """Unique within the answer."""
    statement: ShortText
    """What is visible, as a full sentence."""
    focus: Annotated[tuple[ShortText, ...], Field(min_length=1, max_length=8)]
    """Objects to look at."""


class Decomposition(Answer):
    """A rule as an expression over preconditions."""

    preconditions: Annotated[tuple[NewPrecondition, ...], Field(max_length=MAX_ITEMS)]
    """Those that do not exist yet."""
    violated_when: ExpressionText
    """Over ids of new and of existing preconditions, in canonical form."""


class PreconditionReview(Answer):
    """Whether one precondition can be asked of a picture."""

    explanation: LongText
    """What is wrong, or why nothing is."""
    atomic: bool
    """One fact only."""
    positive: bool
    """Says what is there, not what is missing."""
    visible: bool
    """A camera can show it."""
    neutral: bool
    """No word of value."""


Remarks = Annotated[tuple[ShortText, ...], Field(max_length=MAX_ITEMS)]


class RoundTripReview(Answer):
    """Whether the expression, said in words, is the rule."""

    missing: Remarks
    """What the rule says and the words do not."""
    extra: Remarks
    """What the words say and the rule does not."""
    same: bool
    """Whether both call for the same pictures."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.same == bool(self.missing or self.extra):
            raise ValueError("'same' must be true exactly if 'missing' and 'extra' are both empty")
        return self


class CaseReview(Answer):
    """Whether a picture of which some facts are known breaks the rule."""

    explanation: LongText
    """Why."""
    breaks_rule: Literal["yes", "no", "impossible"]
    """`impossible` if no picture can be like this."""


_Answer = TypeVar("_Answer", bound=Answer)


def read_answer(generation: Generation, model: type[_Answer]) -> _Answer:
    """Reads a text that must be one JSON object, alone or in one code fence.

    Raises:
        AnswerError: It was cut off, is anything else, repeats a field, or does not fit `model`.
    """
    if generation.finish_reason == "length":
        raise AnswerError(
            f"the answer was cut off after {generation.completion_tokens} tokens",
            hint="raise --max-tokens; a model that thinks first must be told not to",
        )
    text = generation.text.strip()
    fenced = _FENCED.fullmatch(text)
    body = fenced.group(1) if fenced else text
    _check_json(body)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise AnswerError(_problems(error)) from error


def _check_json(body: str) -> None:
    """Refuses what pydantic's reader would let pass: repeated fields, and NaN."""
    try:
        value: object = json.loads(body, object_pairs_hook=_once_each, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise AnswerError(f"the answer is not one JSON object: {error}") from error
    if not isinstance(value, dict):
        raise AnswerError(f"the answer is a JSON {type(value).__name__}, not one object")


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a field occurs twice")
    return fields


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _problems(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [f"{'.'.join(str(part) for part in each['loc']) or 'answer'}: {each['msg']}" for each in found]
    more = f" (and {len(shown) - _MAX_PROBLEMS} more)" if len(shown) > _MAX_PROBLEMS else ""
    return f"the answer does not fit: {'; '.join(shown[:_MAX_PROBLEMS])}{more}"
