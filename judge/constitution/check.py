"""`judge constitution check FILE`: every error of a policy file, and advice where it will be judged badly.

An error prevents the file from being used (`load` raises the same ones); a warning does not.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import get_args

from judge.constitution.document import Document
from judge.constitution.expression import deciding
from judge.constitution.load import read_draft, read_text
from judge.constitution.problems import InvalidConstitution, Problem
from judge.constitution.schema import Category, Constitution, Precondition, Rule
from judge.constitution.syntax import AtLeast, Expression, canonical, children, names
from judge.errors import did_you_mean, quoted
from judge.types import HarmCategory

TAXONOMIES: dict[str, tuple[str, ...]] = {
    "common": get_args(HarmCategory),
    "openai": (
        "harassment",
        "harassment/threatening",
        "hate",
        "hate/threatening",
        "illicit",
        "illicit/violent",
        "self-harm",
        "self-harm/intent",
        "self-harm/instructions",
        "sexual",
        "sexual/minors",
        "violence",
        "violence/graphic",
    ),
    "unsafebench": (
        "Hate",
        "Harassment",
        "Violence",
        "Self-harm",
        "Sexual",
        "Shocking",
        "Illegal activity",
        "Deception",
        "Political",
        "Public and personal health",
        "Spam",
    ),
    "llavaguard": ("O1", "O2", "O3", "O4", "O5", "O6", "O7", "O8", "O9"),
}
"""Names in taxonomies that we know; a mapping to another taxonomy is not checked."""

_warning = partial(Problem, severity="warning")
NEGATION = re.compile(r"\b(no|not|never|nobody|nothing|none|neither|without|cannot|\w+n't)\b", re.IGNORECASE)


def check_file(path: Path) -> tuple[Problem, ...]:
    """Errors and warnings of a policy file, in the order of its lines; empty if it is fine."""
    try:
        return check_text(read_text(path), str(path))
    except InvalidConstitution as error:
        return error.problems


def check_text(text: str, source: str) -> tuple[Problem, ...]:
    """Errors and warnings of a policy text; `source` is its name in them. Warnings come once no error is left."""
    try:
        draft = read_draft(text, source)
    except InvalidConstitution as error:
        return error.problems
    if draft.constitution is None:
        return draft.problems
    return placed(warnings(draft.constitution), draft.document, source)


def placed(found: Iterable[Problem], document: Document, source: str) -> tuple[Problem, ...]:
    """The same with file and line, in the order of the lines."""
    lined = (replace(problem, source=source, line=problem.line or document.line(problem.path)) for problem in found)
    return tuple(sorted(lined, key=lambda problem: problem.line))


def warnings(constitution: Constitution) -> Iterator[Problem]:
    """What is allowed but will be judged badly, or was hardly meant."""
    used = {rule.category for rule in constitution.rules}
    for category in constitution.categories:
        yield from _category(category, idle=category.id not in used)
    statements: dict[str, str] = {}
    for precondition in constitution.preconditions:
        yield from _precondition(precondition, statements.setdefault(precondition.statement.lower(), precondition.id))
    for rule in constitution.rules:
        yield from _rule(rule, constitution.expression(rule.id))


def _category(category: Category, *, idle: bool) -> Iterator[Problem]:
    where, path = f"category {quoted(category.id)}", ("categories", category.id)
    if idle:
        yield _warning("no rule belongs to it", where, "add a rule, or remove it", path=path, kind="idle-category")
    for taxonomy, mapped in category.mappings.items():
        known = TAXONOMIES.get(taxonomy)
        for name in mapped:
            if known is not None and name not in known:
                message = f"{quoted(taxonomy)} has no category {quoted(name)}"
                fix = did_you_mean(name, known)
                yield _warning(message, where, fix, path=(*path, "mappings", taxonomy), kind="mapping")


def _precondition(precondition: Precondition, first: str) -> Iterator[Problem]:
    where, path = f"precondition {quoted(precondition.id)}", ("preconditions", precondition.id)
    if not precondition.focus:
        fix = "list the objects to look at: focus: [knife, hand]"
        yield _warning("has no focus", where, fix, path=path, kind="no-focus")
    negation = NEGATION.search(precondition.statement)
    if negation:
        fix = "say what is visible, and write 'not' in violated_when"
        message = f"statement is negative: {quoted(negation.group())}"
        yield _warning(message, where, fix, path=(*path, "statement"), kind="negative")
    if first != precondition.id:
        fix = "use one of the two"
        message = f"same statement as {quoted(first)}"
        yield _warning(message, where, fix, path=(*path, "statement"), kind="duplicate")


def _rule(rule: Rule, expression: Expression) -> Iterator[Problem]:
    where, path = f"rule {quoted(rule.id)}", ("rules", rule.id)
    if not rule.source:
        yield _warning("has no source", where, "say where the rule comes from", path=path, kind="no-source")
    for id in sorted(set(names(expression)) - deciding(expression, {})):
        message = f"{quoted(id)} makes no difference to violated_when"
        fix = "remove it, or mend the expression"
        yield _warning(message, where, fix, path=(*path, "violated_when"), kind="no-difference")
    for id in _repeated(expression):
        message = f"at_least counts {quoted(id)} twice"
        yield _warning(message, where, "list it once", path=(*path, "violated_when"), kind="counted-twice")


def _repeated(expression: Expression) -> Iterable[str]:
    """Arguments that stand twice in the same at_least."""
    if isinstance(expression, AtLeast):
        yield from (canonical(arg) for arg, count in Counter(expression.args).items() if count > 1)
    for child in children(expression):
        yield from _repeated(child)
