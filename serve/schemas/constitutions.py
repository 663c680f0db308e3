"""Answers about constitutions."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from judge.constitution import Constitution
from judge.types import Wire


class ConstitutionVersion(Wire):
    """One version of a constitution; it never changes."""

    name: str
    """Name of the constitution."""
    version: str
    """Its version, as text."""
    digest: str
    """sha256 of the canonical form, as in the versions of verdicts."""
    active: bool
    """Whether it is applied when a request names no version."""
    created_at: datetime | None
    """When it was put; null for one of the installation."""


class ConstitutionList(Wire):
    """All versions of all constitutions."""

    constitutions: tuple[ConstitutionVersion, ...]
    """By name, newest first."""


class ConstitutionDetail(ConstitutionVersion):
    """One version with what it says."""

    constitution: Constitution
    """Categories, preconditions and rules."""


class Activation(Wire):
    """Body of `PUT /v1/constitutions/{name}/active`."""

    version: Annotated[str, Field(min_length=1, max_length=200)]
    """The version to be applied from now on."""
