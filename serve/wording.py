"""What a validation found, in our words: the library's own name Python's types and its own web pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from judge.errors import quoted
from serve.problems import ApiError

_MUST_BE = {
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "an object",
    "mapping_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "one of {expected}",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "string_too_short": "text of at least {min_length} characters",
    "string_too_long": "text of at most {max_length} characters",
}
"""Type of pydantic's error -> what the field must be, with the words of the error's context."""


def invalid_request(found: Mapping[str, Any], where: tuple[str, ...] = ()) -> ApiError:
    """A field that is wrong, as an error to answer.

    Args:
        found: One of the errors of a `ValidationError`.
        where: Path of the model in the request.
    """
    if found["type"] == "json_invalid":
        named = f"part '{where[0]}'" if where else "the body"
        return ApiError(400, "invalid_body", f"{named} is not JSON that can be read", param=where[0] if where else None)
    field = ".".join((*where, *(str(part)[:50] for part in found["loc"])))
    message = f"{quoted(field) if field else 'the body'} {_words(found)}"
    return ApiError(422, "invalid_request", message, param=field or None)


def _words(found: Mapping[str, Any]) -> str:
    kind, context = found["type"], found.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is not a known field"
    if kind == "value_error":  # of our own validators
        return f"is not valid: {context.get('error', '')}"
    if kind in _MUST_BE:
        return f"must be {_MUST_BE[kind].format_map(context)}"
    return "is not valid"
