"""What the routes share: settings, the backend, and the parts that remember things."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from fastapi import Request
from starlette.requests import HTTPConnection

from judge.assets import constitution_names, constitution_path
from judge.client.wire import JudgeResult
from judge.constitution import Constitution, load_constitution
from judge.errors import ConfigError, did_you_mean
from serve.backend import Backend
from serve.settings import Scope, ServeSettings

if TYPE_CHECKING:
    from serve.store.opening import Store
    from serve.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: a key, or everybody where the service is open."""

    key_id: str
    name: str
    scopes: frozenset[Scope]


EVERYBODY = Caller("", "everybody", frozenset({"judge", "admin"}))


class Gate(Protocol):
    """Lets callers in."""

    async def identify(self, request: HTTPConnection) -> Caller:
        """Who calls; found out once for each request. Raises `ApiError` 401 or 429."""

    def require(self, scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
        """A dependency of FastAPI. Raises `ApiError` 401, 403 or 429."""

    async def count_media(self, caller: Caller, n_media: int) -> None:
        """Takes from the caller's quota. Raises `ApiError` 429 if it is used up."""


class OpenGate:
    """Everybody may do everything."""

    async def identify(self, request: HTTPConnection) -> Caller:
        request.state.caller = EVERYBODY
        return EVERYBODY

    def require(self, scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
        async def everybody(request: Request) -> Caller:
            return await self.identify(request)

        return everybody

    async def count_media(self, caller: Caller, n_media: int) -> None:
        return None


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """One version of a constitution, as the service has it."""

    name: str
    version: str
    digest: str
    active: bool
    created_at: datetime | None
    """None = it came with the installation."""


class Policies(Protocol):
    """Constitutions by name. The active version of a name is the one that is applied when no version is given."""

    async def get(self, name: str, version: str | None = None) -> Constitution:
        """Raises `ConfigError` if there is none."""

    async def find(self, name: str, version: str | None = None) -> PolicyVersion:
        """What is known of a version. Raises `ConfigError` if there is none."""

    async def text(self, name: str, version: str | None = None) -> str:
        """The YAML it was read from. Raises `ConfigError` if there is none."""

    async def versions(self) -> Sequence[PolicyVersion]:
        """All of them, by name, newest first."""

    async def put(self, name: str, text: str) -> PolicyVersion:
        """Add a version and make it the active one; the same content again changes nothing.

        Raises:
            ConstitutionError: The text is not valid, or its name is another one.
            Conflict: There is this version with another content.
        """

    async def activate(self, name: str, version: str) -> PolicyVersion:
        """Make a version the active one. Raises `ConfigError` if there is none."""


class BuiltInPolicies:
    """Those of the installation; nothing can be put."""

    def __init__(self) -> None:
        self._loaded: dict[str, Constitution] = {}

    async def get(self, name: str, version: str | None = None) -> Constitution:
        if name not in constitution_names():
            raise ConfigError(f"unknown constitution '{name}'", hint=did_you_mean(name, constitution_names()))
        if name not in self._loaded:
            self._loaded[name] = await asyncio.to_thread(load_constitution, constitution_path(name))
        found = self._loaded[name]
        if version not in (None, found.version):
            raise ConfigError(f"constitution '{name}' has no version '{version}'", hint=f"there is {found.version}")
        return found

    async def find(self, name: str, version: str | None = None) -> PolicyVersion:
        found = await self.get(name, version)
        return PolicyVersion(found.name, found.version, found.digest, True, None)

    async def text(self, name: str, version: str | None = None) -> str:
        await self.get(name, version)
        return constitution_path(name).read_text(encoding="utf-8")

    async def versions(self) -> Sequence[PolicyVersion]:
        return [await self.find(name) for name in constitution_names()]

    async def put(self, name: str, text: str) -> PolicyVersion:
        raise ConfigError("constitutions cannot be changed here", hint="configure a store")

    async def activate(self, name: str, version: str) -> PolicyVersion:
        raise ConfigError("constitutions cannot be changed here", hint="configure a store")


class VerdictArchive(Protocol):
    """Results that were kept because a request asked for it."""

    async def keep(self, caller: Caller, result: JudgeResult) -> None: ...

    async def find(self, caller: Caller, id: str) -> JudgeResult | None:
        """None if there is none, or it belongs to another key."""


@dataclass(slots=True)
class Context:
    """Handed to every router.

    Attributes:
        archive: None = verdicts are not kept.
        store: What `policies` and `archive` lie in; None = nothing is remembered, and there are no video jobs.
        telemetry: Metrics and traces; see `serve.telemetry.with_telemetry`.
    """

    settings: ServeSettings
    backend: Backend
    policies: Policies = field(default_factory=BuiltInPolicies)
    gate: Gate = field(default_factory=OpenGate)
    archive: VerdictArchive | None = None
    store: Store | None = None
    telemetry: Telemetry | None = None
