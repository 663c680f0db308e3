"""Rules on their way to a constitution: the same YAML, in which a rule may still lack everything but its text.

A constitution is a draft too. A draft is read as strictly: the same YAML reader and the same fields; only what may be
missing differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

from pydantic import JsonValue

from judge.authoring.yaml_text import dump_yaml, without_empty
from judge.constitution import Category, Constitution, Precondition, Rule, parse_constitution
from judge.constitution.schema import ExpressionText, Header, Id, Line
from judge.types import Severity, Wire

SUFFIX = "-draft"
"""Behind the version of a policy that a person has not reviewed."""
UNSORTED = Category(id="unsorted", title="Unsorted", description="Rules that still need a category.")


class DraftRule(Rule):
    """A rule of which only the text is certain."""

    category: Id = UNSORTED.id
    """Id of a category."""
    severity: Severity = "medium"
    """How bad a violation is."""
    statement: Line = ""
    """Empty until it is written."""
    violated_when: ExpressionText = ""
    """Empty until it is decomposed."""

    @property
    def violation(self) -> str:
        """What is true of a picture that breaks the rule: the statement, or else words around the text.

        The text alone will not do: "No knives." is true of the pictures that keep the rule.
        """
        return self.statement or f'The picture breaks the rule "{self.text}"'


class DraftHeader(Header):
    """What a draft says of itself."""

    name: Id = "draft"
    """Name of the policy."""
    version: Line = "0"
    """Version of the policy, as text."""


class Draft(DraftHeader):
    """Rules with whatever belongs to them so far."""

    categories: tuple[Category, ...] = ()
    """In the author's order."""
    preconditions: tuple[Precondition, ...] = ()
    """In the author's order; some may be without use."""
    rules: tuple[DraftRule, ...]
    """In the author's order."""

    def unreviewed(self) -> Self:
        """The same under a version that says so: two policies of one name and version must not differ."""
        version = self.version if self.version.endswith(SUFFIX) else self.version + SUFFIX
        return self.model_copy(update={"version": version})

    def to_yaml(self, head: str = "") -> str:
        """As a file; every line of `head` becomes a comment."""
        header = self.model_dump(mode="json", include=set(Header.model_fields))
        used = {rule.category for rule in self.rules} - {category.id for category in self.categories}
        categories = (*self.categories, *((UNSORTED,) if UNSORTED.id in used else ()))
        sections = {"categories": categories, "preconditions": self.preconditions, "rules": self.rules}
        body = {**header, **{kind: _by_id(parts) for kind, parts in sections.items()}}
        return dump_yaml(without_empty(body), head=head)

    def to_constitution(self, source: str) -> Constitution:
        """The constitution that this draft has become; `source` is its name in errors.

        Raises:
            InvalidConstitution: It has not become one yet.
        """
        return parse_constitution(self.to_yaml(), source=source)


def _by_id(parts: Iterable[Wire]) -> dict[str, JsonValue]:
    bodies: Iterable[dict[str, JsonValue]] = (part.model_dump(mode="json") for part in parts)
    return {str(body["id"]): _body(body) for body in bodies}


def _body(fields: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    usual = list(Rule.model_fields["modalities"].default)
    left_out = {"id"} | ({"modalities"} if fields.get("modalities") == usual else set())
    return {name: value for name, value in fields.items() if name not in left_out}
