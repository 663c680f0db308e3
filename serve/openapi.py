"""The API's document: what FastAPI cannot see by itself."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from judge.client.wire import ErrorResponse, JudgeOptions, JudgeRequest, StreamLine
from serve.schemas.jobs import VideoJobOptions, VideoJobRequest, WebhookEvent

_WRITTEN_BY_HAND = (
    JudgeRequest, JudgeOptions, StreamLine, ErrorResponse, VideoJobRequest, VideoJobOptions, WebhookEvent,
)  # fmt: skip
"""Models that the document refers to in words that FastAPI does not follow."""
_REF = "#/components/schemas/{model}"
_PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_DESCRIPTIONS = {
    400: "The request cannot be read, or names something that there is not.",
    401: "An API key is needed, or is not known.",
    403: "The API key may not do this.",
    404: "There is no such thing.",
    409: "There is something else under this name already.",
    408: "The body took too long to arrive.",
    413: "The body, or one of the media, is too large.",
    415: "The body is of another type.",
    422: "Something in the request is wrong, or none of the media can be read.",
    429: "Too many requests or media; `Retry-After` says when to try again.",
    500: "Something went wrong here.",
    503: "The model cannot answer now; `Retry-After` says when to try again.",
    504: "The time ran out before there was any verdict.",
}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}

NDJSON: dict[str, Any] = {
    "description": "Verdicts. With `stream`, one JSON object a line, each a `StreamLine`.",
    "content": {
        "application/x-ndjson": {"schema": {"type": "string", "description": "Lines; each is a `StreamLine`."}}
    },
}
JUDGE_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "JSON, or a form with the files themselves.",
        "content": {
            "application/json": {
                "schema": {"$ref": _REF.format(model="JudgeRequest")},
                "examples": {
                    "picture": {
                        "summary": "One picture in base64, under the default constitution",
                        "value": {"media": [{"data": _PIXEL}], "explain": True},
                    },
                    "post": {
                        "summary": "A picture with its caption, reasoned about, for at most 20 s",
                        "value": {
                            "constitution": "stickers",
                            "media": [
                                {"data": f"data:image/png;base64,{_PIXEL}", "name": "a.png", "text": "A caption"}
                            ],
                            "stages": {"reason": True},
                            "budget": {"seconds": 20.0},
                        },
                    },
                },
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["media"],
                    "properties": {
                        "media": {
                            "type": "array",
                            "minItems": 1,
                            "description": "The files, one part each; file names are kept as names.",
                            "items": {"type": "string", "format": "binary"},
                        },
                        "options": {
                            "$ref": _REF.format(model="JudgeOptions"),
                            "description": "All options, as one part of JSON.",
                        },
                        "text": {
                            "type": "array",
                            "description": "What was posted with the media: one part for all, or one part for each.",
                            "items": {"type": "string", "maxLength": 10_000},
                        },
                    },
                },
                "encoding": {"options": {"contentType": "application/json"}},
            },
        },
    }
}

YAML_TYPE = "application/yaml"
VIDEO_JOB_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "JSON, or a form with the file itself.",
        "content": {
            "application/json": {"schema": {"$ref": _REF.format(model="VideoJobRequest")}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["video"],
                    "properties": {
                        "video": {"type": "string", "format": "binary", "description": "The file."},
                        "options": {
                            "$ref": _REF.format(model="VideoJobOptions"),
                            "description": "All options, as one part of JSON.",
                        },
                    },
                },
                "encoding": {"options": {"contentType": "application/json"}},
            },
        },
    }
}
CONSTITUTION_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A whole constitution, in the form that `constitutions/README.md` describes.",
        "content": {
            YAML_TYPE: {"schema": {"type": "string", "description": "YAML in UTF-8."}},
            "application/json": {"schema": {"type": "object", "description": "The same as JSON."}},
        },
    }
}
CONSTITUTION_YAML: dict[str, Any] = {
    "description": "The constitution.",
    "content": {YAML_TYPE: {"schema": {"type": "string", "description": "As it was written."}}},
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, for its `responses`."""
    return {status: _error(status) for status in statuses}


def document(app: FastAPI) -> None:
    """Make `/openapi.json` whole: errors in our shape on every route, and the models written by hand."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    routes=app.routes,
                    description="Judges pictures and videos under written policies.",
                )
            )
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _complete(found: dict[str, Any]) -> dict[str, Any]:
    schemas: dict[str, Any] = found.setdefault("components", {}).setdefault("schemas", {})
    _, by_hand = models_json_schema([(model, "validation") for model in _WRITTEN_BY_HAND], ref_template=_REF)
    for name, schema in by_hand["$defs"].items():
        schemas.setdefault(name, schema)
    schemas.get("JsonValue", {}).setdefault("description", "Any JSON value.")
    for operations in found["paths"].values():
        for operation in operations.values():
            _correct_errors(operation["responses"])
            _add_errors(operation)
    # FastAPI's own shape of errors is answered nowhere.
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    return found


def _correct_errors(responses: dict[str, Any]) -> None:
    default: Mapping[str, Any] = {"$ref": _REF.format(model="HTTPValidationError")}
    for status, response in responses.items():
        content = response.get("content", {}).get("application/json", {})
        if content.get("schema") == default:
            responses[status] = _error(int(status))


def _add_errors(operation: dict[str, Any]) -> None:
    """Those that are not the route's own doing."""
    statuses = {500} | ({401, 403, 429} if "security" in operation else set())
    statuses |= {400, 408, 413, 429} if "requestBody" in operation else set()
    for status in sorted(statuses):
        operation["responses"].setdefault(str(status), _error(status))


def _error(status: int) -> dict[str, Any]:
    schema = {"$ref": _REF.format(model="ErrorResponse")}
    described: dict[str, Any] = {
        "description": _DESCRIPTIONS.get(status, HTTPStatus(status).phrase),
        "content": {"application/json": {"schema": schema}},
    }
    if status in (429, 503):
        described["headers"] = _RETRY_AFTER
    return described
