"""Requests made up from the API's document, right and wrong: no 5xx, and no answer that it does not know."""

from __future__ import annotations

import tempfile

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)  # fmt: skip

from serve.assembly import build_context
from serve.gateway import create_gateway

from . import gateways

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance, unsupported_method,
]  # fmt: skip

folder = tempfile.TemporaryDirectory()
asked = gateways.settings(
    auth=gateways.with_keys(), http={"inline_constitutions": True}, store={"folder": folder.name}, jobs={"workers": 0}
)
context = build_context(asked, gateways.scripted_service(asked=asked))
schema = schemathesis.openapi.from_asgi("/openapi.json", create_gateway(context))
schema.config.generation.update(modes=[GenerationMode.POSITIVE, GenerationMode.NEGATIVE])


@schema.parametrize()
@settings(max_examples=25, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
def test_answers_are_as_documented(case: Case) -> None:
    # In a form everything is text, so that no text is of a wrong type.
    further = [] if case.media_type == "multipart/form-data" else [negative_data_rejection]
    case.call_and_validate(headers=gateways.bearer(gateways.ADMIN_KEY), checks=CHECKS + further)
