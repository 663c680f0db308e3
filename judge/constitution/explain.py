"""Validates one part of a policy file, and says what pydantic found in the words of the file's author."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from judge.constitution.document import Document, Value
from judge.constitution.problems import KINDS, MAX_PROBLEMS, Place, Problem, field_of, where_of
from judge.constitution.schema import Example, Header
from judge.errors import did_you_mean, quoted
from judge.types import Wire

_Model = TypeVar("_Model", bound=Wire)

_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "mapping_type": "a map",
    "dict_type": "a map",
    "model_type": "a map",
    "model_attributes_type": "a map",
}
"""pydantic's error type -> what should have stood there."""


def validate(
    model: type[_Model], fields: Mapping[str, Value], path: Place, document: Document
) -> tuple[_Model | None, list[Problem]]:
    """The model, or everything that is wrong with its fields; `path` is where the fields stand."""
    try:
        return model.model_validate(dict(fields)), []
    except ValidationError as error:
        details = error.errors(include_url=False)[:MAX_PROBLEMS]
        return None, [_problem(detail, path, document, model) for detail in details]


def _problem(detail: ErrorDetails, path: Place, document: Document, model: type[Wire]) -> Problem:
    inner = tuple(part for part in detail["loc"] if part != "[key]")
    whole = (*path, *inner)
    message, fix = _words(detail, inner, document.found.get(whole, ""), _fields(model, inner))
    return Problem(message.replace("{field}", field_of(whole)), where_of(whole), fix, path=whole)


def _words(detail: ErrorDetails, inner: Place, found: str, known: list[str]) -> tuple[str, str]:
    """Message and fix; `{field}` stands for the field's name."""
    kind, name = detail["type"], str(inner[-1])
    if kind == "missing":
        return "{field} is missing", f"add '{name}:'"
    if kind == "extra_forbidden":
        return f"unknown field {quoted(name)}", did_you_mean(name, known)
    if found == "nothing" or kind == "too_short":
        return "{field} is empty", "write it, or remove the field if it may be left out"
    if kind == "literal_error" or kind in _EXPECTED:
        return _wrong_value(detail, found)
    context = detail.get("ctx", {})
    colon = ":" if detail["msg"].startswith("column") else ""
    return f"{{field}}{colon} {detail['msg']}", str(context.get("fix", ""))


def _wrong_value(detail: ErrorDetails, found: str) -> tuple[str, str]:
    kind = detail["type"]
    if kind == "literal_error":
        return f"{{field}} must be {detail['ctx']['expected']}, but is {found}", _nearest(detail)
    scalar = found.startswith("the ")
    fix = "put it in quotes" if kind == "string_type" and scalar else ""
    return f"{{field}} must be {_EXPECTED[kind]}, but is {found}", fix


def _nearest(detail: ErrorDetails) -> str:
    expected = str(detail["ctx"]["expected"]).replace(" or ", ", ").replace("'", "").split(", ")
    suggestion = did_you_mean(str(detail["input"]), expected)
    return suggestion if suggestion.startswith("did") else ""


def _fields(model: type[Wire], inner: Place) -> list[str]:
    """Fields that may stand beside the last part of the path."""
    fields = Example.model_fields if inner[0] == "examples" and len(inner) > 1 else model.model_fields
    return [name for name in fields if name != "id"] + (list(KINDS) if model is Header else [])
