"""What is wrong with a constitution, said so that its author can mend it: file, line, rule, fix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from judge.errors import ConstitutionError, quoted

MAX_PROBLEMS = 100
"""How many are reported of one file; more help nobody."""

Place = tuple[str | int, ...]
"""Where in the document, e.g. `("rules", "weapons.threat", "severity")`."""

KINDS = {"categories": "category", "preconditions": "precondition", "rules": "rule"}
"""The three maps of a constitution, and what one entry of each is called."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend. `str(problem)` is the whole line for a person.

    Attributes:
        message: What is wrong.
        where: `rule 'x'`, `precondition 'x'`, `category 'x'`, or empty for the file.
        fix: What to do about it; empty if that is plain.
        severity: An error prevents the file from being used. A warning should be mended, or accepted with a reason; a
            note is worth a thought.
        path: Where in the document.
        line: 1-based; 0 if no line is to blame.
        source: The file's name.
        kind: Short name of a warning or note, by which it can be accepted; empty for an error.
    """

    message: str
    where: str = ""
    fix: str = ""
    severity: Literal["error", "warning", "note"] = "error"
    path: Place = ()
    line: int = 0
    source: str = ""
    kind: str = ""

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}" if self.line else self.source
        parts = (place, "" if self.severity == "error" else self.severity, self.where, self.message)
        return ": ".join(part for part in parts if part) + (f" ({self.fix})" if self.fix else "")


class InvalidConstitution(ConstitutionError):
    """Everything that is wrong with one file; the message has one line per problem."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


def where_of(path: Place) -> str:
    """Names the rule, precondition or category that a path lies in; empty outside of them."""
    if len(path) < 2 or path[0] not in KINDS:
        return ""
    return f"{KINDS[str(path[0])]} {quoted(str(path[1]))}"


def field_of(path: Place) -> str:
    """Names the field that a path ends in, e.g. `'examples[0].media'`; empty for an entry itself."""
    inner = path[2:] if path and path[0] in KINDS else path
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in inner)
    return quoted(text.removeprefix(".")) if text else ""
