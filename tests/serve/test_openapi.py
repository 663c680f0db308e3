"""The API's document is pinned, and says something of every field. Update it with `UPDATE_GOLDEN=1 make test`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serve.gateway import create_gateway

from .gateways import client, context, settings, with_keys

GOLDEN = Path(__file__).parents[1] / "golden" / "openapi.json"
METHODS = {"get", "put", "post", "delete", "patch"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_gateway(context(asked=settings(auth=with_keys()))).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert method in METHODS
            yield f"{method} {path}", operation


def test_the_document_is_as_in_the_golden_file(document: dict[str, Any]) -> None:
    shown = {**document, "info": {**document["info"], "version": "0"}}
    text = json.dumps(shown, indent=1, ensure_ascii=False) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert json.loads(GOLDEN.read_text(encoding="utf-8")) == json.loads(text)


async def test_it_is_served() -> None:
    async with client() as http:
        answer = await http.get("/openapi.json")
    assert answer.json()["info"]["title"] == "visual-judge"


def test_every_field_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    fields = {
        f"{name}.{field}": found.get("description")
        for name, schema in schemas.items()
        for field, found in schema.get("properties", {}).items()
    }
    assert len(fields) > 100
    assert [name for name, text in fields.items() if not text] == []
    assert [name for name, schema in schemas.items() if not schema.get("description")] == []


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    text = json.dumps(document)
    named = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert named <= set(schemas)


def test_every_operation_says_what_it_does_and_how_it_fails(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert operation.get("description") or operation.get("summary"), name
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (name, parameter["name"])
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                schema = answer["content"]["application/json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/ErrorResponse"}, (name, status)
        if "security" in operation:
            assert {"401", "403", "429"} <= set(operation["responses"]), name


def test_a_body_is_documented_in_both_forms(document: dict[str, Any]) -> None:
    content = document["paths"]["/v1/judge"]["post"]["requestBody"]["content"]
    assert set(content) == {"application/json", "multipart/form-data"}
    assert set(content["multipart/form-data"]["schema"]["properties"]) == {"media", "options", "text"}


async def test_the_examples_are_answered(document: dict[str, Any]) -> None:
    examples = document["paths"]["/v1/judge"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    async with client() as http:
        for name, example in examples.items():
            answer = await http.post("/v1/judge", json=example["value"])
            assert answer.status_code == 200, (name, answer.text)
