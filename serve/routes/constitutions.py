"""`/v1/constitutions`: which policies there are, and, for admins, new versions of them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import PlainTextResponse, Response

from judge.errors import ConfigError, quoted
from serve.context import Caller, Context, PolicyVersion
from serve.openapi import CONSTITUTION_BODY, CONSTITUTION_YAML, YAML_TYPE, errors
from serve.problems import ApiError
from serve.schemas.constitutions import Activation, ConstitutionDetail, ConstitutionList, ConstitutionVersion

MAX_BYTES = 1_000_000
"""Largest body of a PUT; a constitution is a few pages of text."""
_YAML_TYPES = frozenset({YAML_TYPE, "application/x-yaml", "text/yaml", "text/x-yaml", "text/plain"})
_Name = Annotated[str, Path(max_length=64, description="Name of the constitution.")]


def router(context: Context) -> APIRouter:
    routes = APIRouter(prefix="/v1/constitutions", tags=["constitutions"])

    reader = Depends(context.gate.require("judge"))
    admin = Depends(context.gate.require("admin"))

    @routes.get("", responses=errors(503))
    async def names(caller: Caller = reader) -> ConstitutionList:
        """All versions of all constitutions."""
        return ConstitutionList(constitutions=tuple(_version(each) for each in await context.policies.versions()))

    @routes.get("/{name}", response_model=ConstitutionDetail, responses={200: CONSTITUTION_YAML, **errors(404, 503)})
    async def one(
        request: Request,
        name: _Name,
        caller: Caller = reader,
        version: Annotated[str | None, Query(max_length=200, description="One version; none = the active one.")] = None,
    ) -> ConstitutionDetail | Response:
        """What a constitution says: as JSON, or as the YAML it was written in if `Accept` asks for that."""
        found = await _found(context, name, version)
        if _wants_yaml(request.headers.get("accept", "")):
            return PlainTextResponse(await context.policies.text(name, found.version), media_type=YAML_TYPE)
        constitution = await context.policies.get(name, found.version)
        return ConstitutionDetail(**asdict(found), constitution=constitution)

    @routes.put("/{name}", openapi_extra=CONSTITUTION_BODY, responses=errors(400, 409, 413, 415, 422, 503))
    async def put(request: Request, name: _Name, caller: Caller = admin) -> ConstitutionVersion:
        """Add a version and apply it from now on, in every gateway within about a second.

        The same content again changes nothing. What is wrong with a constitution is told all at once.
        """
        return _version(await context.policies.put(name, await _text(request)))

    @routes.put("/{name}/active", responses=errors(400, 404, 422, 503))
    async def activate(body: Activation, name: _Name, caller: Caller = admin) -> ConstitutionVersion:
        """Apply another version from now on, e.g. an older one again."""
        await _found(context, name, body.version)
        return _version(await context.policies.activate(name, body.version))

    return routes


async def _found(context: Context, name: str, version: str | None) -> PolicyVersion:
    """Raises `ApiError` 404."""
    try:
        return await context.policies.find(name, version)
    except ConfigError as error:
        raise ApiError(404, "not_found", error.message, type="not_found_error", hint=error.hint) from error


async def _text(request: Request) -> str:
    """The body as the text of a constitution; JSON is YAML, too. Raises `ApiError` 400, 413 or 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (*_YAML_TYPES, "application/json"):
        raise ApiError(
            415, "unsupported_content_type", f"the body's type is {quoted(kind) if kind else 'not given'}",
            hint=f"send {YAML_TYPE} or application/json",
        )  # fmt: skip
    body = await _body(request)
    try:
        text = body.decode("utf-8-sig")
        # YAML reads a few escapes of JSON otherwise: written anew, without them.
        return json.dumps(json.loads(text), ensure_ascii=False, indent=1) if kind == "application/json" else text
    except (ValueError, RecursionError) as error:
        named = "JSON" if kind == "application/json" else "text in UTF-8"
        raise ApiError(400, "invalid_body", f"the body is not {named} that can be read") from error


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise ApiError(
                413, "constitution_too_large", f"the constitution is larger than {MAX_BYTES:,} bytes",
                headers={"Connection": "close"},
            )  # fmt: skip
    return bytes(body)


def _version(found: PolicyVersion) -> ConstitutionVersion:
    return ConstitutionVersion(**asdict(found))


def _wants_yaml(accept: str) -> bool:
    """The first of the two that is named counts; JSON if none is."""
    for kind in accept.split(","):
        name = kind.partition(";")[0].strip().lower()
        if name in _YAML_TYPES or name == "application/json":
            return name in _YAML_TYPES
    return False
