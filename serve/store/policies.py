"""Constitutions of the installation and of the database as one. A version never changes; which one is active may.

Every gateway looks which versions there are once a second at most, when somebody asks: a change needs no restart.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from judge.assets import constitution_names
from judge.constitution import Constitution, InvalidConstitution, Problem, parse_constitution
from judge.errors import ConfigError, did_you_mean, quoted
from serve.context import BuiltInPolicies, PolicyVersion
from serve.problems import Conflict
from serve.store.database import Database
from serve.store.models import ConstitutionRow

_MOST_PARSED = 64
_LONGEST_VERSION = 200


class StoredPolicies:
    """As `Policies`. Args: look_again_s: How old the knowledge of which versions there are may be."""

    def __init__(self, database: Database, *, look_again_s: float = 1.0) -> None:
        self._database = database
        self._built_in = BuiltInPolicies()
        self._look_again_s = look_again_s
        self._looking = asyncio.Lock()
        self._seen: Sequence[PolicyVersion] = ()
        self._seen_at_s: float | None = None
        self._parsed: OrderedDict[str, Constitution] = OrderedDict()

    async def get(self, name: str, version: str | None = None) -> Constitution:
        """As `Policies.get`."""
        found = await self.find(name, version)
        if found.created_at is None:
            return await self._built_in.get(name)
        if found.digest not in self._parsed:
            text = await self._database.read(lambda session: _text(session, found))
            parsed = await asyncio.to_thread(parse_constitution, text, source=f"{name}@{found.version}")
            self._parsed[found.digest] = parsed
        self._parsed.move_to_end(found.digest)
        kept = self._parsed[found.digest]
        while len(self._parsed) > _MOST_PARSED:
            self._parsed.popitem(last=False)
        return kept

    async def text(self, name: str, version: str | None = None) -> str:
        """As `Policies.text`."""
        found = await self.find(name, version)
        if found.created_at is None:
            return await self._built_in.text(name)
        return await self._database.read(lambda session: _text(session, found))

    async def versions(self) -> Sequence[PolicyVersion]:
        """As `Policies.versions`."""
        return _merged(await self._built_in.versions(), await self._stored())

    async def put(self, name: str, text: str) -> PolicyVersion:
        """As `Policies.put`."""
        new = await asyncio.to_thread(parse_constitution, text, source=name)
        if new.name != name:
            problem = Problem(f"is named {quoted(new.name)}, not {quoted(name)}", fix="use the same name", source=name)
            raise InvalidConstitution([problem])
        if len(new.version) > _LONGEST_VERSION or "@" in new.version or not new.version.isprintable():
            fix = f"at most {_LONGEST_VERSION} characters that can be printed, and no @"
            raise InvalidConstitution([Problem("'version' cannot be kept", fix=fix, source=name)])
        self._forget()
        known = next((each for each in await self._of_name(name) if each.version == new.version), None)
        if known is None:
            await self._database.write(lambda session: _add(session, new, text))
            self._forget()
            known = await self.find(name, new.version)
        if known.digest != new.digest:
            raise Conflict(
                f"there is a version {quoted(new.version)} of '{name}' with another content",
                hint="a version never changes: give the new content a new version",
            )
        return known

    async def activate(self, name: str, version: str) -> PolicyVersion:
        """As `Policies.activate`."""
        await self.find(name, version)
        await self._database.write(lambda session: _activate(session, name, version))
        self._forget()
        return await self.find(name, version)

    async def find(self, name: str, version: str | None = None) -> PolicyVersion:
        """As `Policies.find`."""
        of_name = await self._of_name(name)
        if not of_name:
            known = sorted({*constitution_names(), *(each.name for each in await self._stored())})
            raise ConfigError(f"unknown constitution {quoted(name)}", hint=did_you_mean(name, known))
        for each in of_name:
            if each.version == version or (version is None and each.active):
                return each
        newest = ", ".join(each.version for each in of_name[:10])
        raise ConfigError(f"constitution '{name}' has no version {quoted(version or '')}", hint=f"there is {newest}")

    async def _of_name(self, name: str) -> Sequence[PolicyVersion]:
        """Newest first. Reads no other one of the installation."""
        stored = [each for each in await self._stored() if each.name == name]
        built_in = [await self._built_in.find(name)] if name in constitution_names() else []
        return _merged(built_in, stored)

    async def _stored(self) -> Sequence[PolicyVersion]:
        """Those of the database, as they were a moment ago at most."""
        async with self._looking:
            if self._seen_at_s is None or time.monotonic() - self._seen_at_s > self._look_again_s:
                looked_at_s = time.monotonic()
                self._seen = await self._database.read(_stored)
                self._seen_at_s = looked_at_s
            return self._seen

    def _forget(self) -> None:
        self._seen_at_s = None


def _merged(built_in: Sequence[PolicyVersion], stored: Sequence[PolicyVersion]) -> Sequence[PolicyVersion]:
    """By name, newest first. A stored version hides one of the installation that is called the same."""
    taken = {(each.name, each.version) for each in stored}
    replaced = {each.name for each in stored if each.active}
    others = [
        replace(each, active=each.name not in replaced)
        for each in built_in
        if (each.name, each.version) not in taken
    ]  # fmt: skip
    newest_first = sorted(stored, key=lambda each: each.created_at or datetime.min, reverse=True)
    return tuple(sorted([*newest_first, *others], key=lambda each: each.name))


def _stored(session: Session) -> list[PolicyVersion]:
    row = ConstitutionRow
    found = session.execute(select(row.name, row.version, row.digest, row.active, row.created_at_s))
    return [
        PolicyVersion(name, version, digest, active, datetime.fromtimestamp(at_s, UTC))
        for name, version, digest, active, at_s in found
    ]


def _text(session: Session, version: PolicyVersion) -> str:
    row = session.get(ConstitutionRow, (version.name, version.version))
    if row is None:  # somebody deleted it by hand
        raise ConfigError(f"constitution '{version.name}' has no version {quoted(version.version)} any more")
    return row.text


def _add(session: Session, new: Constitution, text: str) -> None:
    """Add a version and make it the active one; nothing if another gateway did so just now."""
    if session.get(ConstitutionRow, (new.name, new.version)) is not None:
        return
    _activate(session, new.name, None)
    session.add(
        ConstitutionRow(
            name=new.name, version=new.version, digest=new.digest, text=text, active=True, created_at_s=time.time()
        )
    )
    try:
        session.flush()
    except IntegrityError as error:
        raise Conflict(f"'{new.name}' is being changed by somebody else", hint="look, and try again") from error


def _activate(session: Session, name: str, version: str | None) -> None:
    """None, or a version of the installation: no stored one is active."""
    row = ConstitutionRow
    session.execute(update(row).where(row.name == name).values(active=row.version == (version or "")))
