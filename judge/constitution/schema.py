"""A constitution: what a policy file says, as frozen values. Schema version 1.

Not here: reading YAML (`load`), checks across items (`integrity`), the boolean language (`expression`).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, StrictBool, model_validator
from pydantic_core import PydanticCustomError

from judge.constitution import integrity
from judge.constitution.syntax import KEYWORDS, NAME_PATTERN, Expression, canonical, parse
from judge.errors import ConstitutionError, did_you_mean, quoted
from judge.types import Modality, Severity, Wire

SCHEMA_VERSION = 1
MAX_ID_LENGTH = 64


def _text(value: str) -> str:
    """On one line: how a file folds its lines is not part of the policy."""
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise PydanticCustomError("text", "holds half of a surrogate pair", {"fix": "remove the escape"})
    return " ".join(value.split())


def _needed_text(value: str) -> str:
    line = _text(value)
    if not line:
        raise PydanticCustomError("text", "is empty", {"fix": "write it"})
    return line


def _id(value: str) -> str:
    if not re.fullmatch(NAME_PATTERN, value) or len(value) > MAX_ID_LENGTH or value in KEYWORDS:
        fix = f"a lower-case letter, then a-z 0-9 _ . -, at most {MAX_ID_LENGTH} in all, none of {', '.join(KEYWORDS)}"
        raise PydanticCustomError("id", "is not a valid id", {"fix": fix})
    return value


def _canonical(value: str) -> str:
    try:
        return canonical(parse(value))
    except ConstitutionError as error:
        context = {"problem": error.message, "fix": error.hint}
        raise PydanticCustomError("expression", "{problem}", context) from error


Id = Annotated[str, AfterValidator(_id)]
Line = Annotated[str, AfterValidator(_needed_text)]
OptionalLine = Annotated[str, AfterValidator(_text)]
ExpressionText = Annotated[str, AfterValidator(_canonical)]


class Category(Wire):
    """What kind of harm rules are about; verdicts carry one score per category."""

    id: Id
    """Unique name."""
    title: Line
    """For people."""
    description: OptionalLine = ""
    """What falls under it, in a sentence."""
    mappings: Mapping[Id, tuple[Line, ...]] = Field(default_factory=dict)
    """Taxonomy (`openai`, `unsafebench`...) -> the names this category has there."""


class Precondition(Wire):
    """One thing to look for: positive, visible, value-neutral, atomic. Rules share it by id."""

    id: Id
    """Unique name, as it occurs in `violated_when`."""
    statement: Line
    """What the model is asked to confirm, as a full sentence."""
    focus: tuple[Line, ...] = ()
    """Objects to localise for the region test."""


class Example(Wire):
    """One labelled case for the authors and tests of a rule."""

    media: Line
    """Which picture or clip."""
    violates: StrictBool
    """Whether it violates the rule."""
    note: OptionalLine = ""
    """Why."""


class Rule(Wire):
    """One prohibition, from the words of the policy down to the preconditions that are asked."""

    id: Id
    """Unique name."""
    category: str
    """Id of a category."""
    severity: Severity
    """How bad a violation is."""
    text: Line
    """The rule as a person wrote it."""
    statement: Line
    """The same, objective: a sentence that is true of violating media and of nothing else."""
    violated_when: ExpressionText
    """Expression over precondition ids, kept in canonical form."""
    modalities: Annotated[tuple[Modality, ...], Field(min_length=1)] = ("image", "video")
    """Kinds of media the rule applies to."""
    examples: tuple[Example, ...] = ()
    """Labelled cases."""
    source: OptionalLine = ""
    """Where the rule comes from."""


class Header(Wire):
    """What a policy says of itself."""

    schema_version: Literal[1] = 1
    """Version of this schema."""
    name: Id
    """Name of the policy."""
    version: Line
    """Version of the policy, as text."""
    description: OptionalLine = ""
    """What it is for."""


class Constitution(Header):
    """A written policy. The parts fit together: every reference resolves, every rule can be broken and kept."""

    categories: tuple[Category, ...]
    """In the author's order."""
    preconditions: tuple[Precondition, ...]
    """In the author's order."""
    rules: tuple[Rule, ...]
    """In the author's order, which verdicts keep."""

    @model_validator(mode="after")
    def _fits_together(self) -> Constitution:
        problems = list(integrity.problems(self.categories, self.preconditions, self.rules))
        if problems:
            raise ValueError("; ".join(str(problem) for problem in problems))
        return self

    @cached_property
    def digest(self) -> str:
        """sha256 (hex) of the canonical form.

        Layout, comments, and the order of categories and preconditions do not change it. The order of the rules
        does, because a prompt that lists them lists them in that order; so does every word.
        """
        body = self.model_dump(mode="json")
        for kind in ("categories", "preconditions"):
            body[kind] = sorted(body[kind], key=lambda item: str(item["id"]))
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def category(self, id: str) -> Category:
        """Raises `ConstitutionError` if there is none."""
        return _find(self.categories, id, "category", self.name)

    def precondition(self, id: str) -> Precondition:
        """Raises `ConstitutionError` if there is none."""
        return _find(self.preconditions, id, "precondition", self.name)

    def rule(self, id: str) -> Rule:
        """Raises `ConstitutionError` if there is none."""
        return _find(self.rules, id, "rule", self.name)

    def expression(self, rule_id: str) -> Expression:
        """The parsed `violated_when` of a rule."""
        return parse(self.rule(rule_id).violated_when)


_Item = TypeVar("_Item", Category, Precondition, Rule)


def _find(items: Iterable[_Item], id: str, kind: str, constitution: str) -> _Item:
    by_id = {item.id: item for item in items}
    if id not in by_id:
        raise ConstitutionError(
            f"constitution '{constitution}' has no {kind} {quoted(id)}", hint=did_you_mean(id, by_id)
        )
    return by_id[id]
