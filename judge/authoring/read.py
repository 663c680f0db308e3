"""Reads what an author starts from: a constitution, a draft, a YAML list of rule texts, or one rule text a line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from judge.authoring.draft import UNSORTED, Draft, DraftHeader, DraftRule
from judge.constitution import Category, InvalidConstitution, Precondition, Problem, integrity, parse
from judge.constitution.document import Document, Value, read_document
from judge.constitution.explain import validate
from judge.constitution.problems import KINDS, MAX_PROBLEMS, where_of
from judge.types import Wire

MAX_RULES = 1_000

_Part = TypeVar("_Part", bound=Wire)
_FIX = "one rule text a line in a .txt file, a YAML list of texts, or a constitution"


def read_rules(text: str, source: str) -> Draft:
    """Reads YAML; `source` is its name in errors.

    Raises:
        InvalidConstitution: It is none of what this file's head lists; `problems` has everything that is wrong.
    """
    document = read_document(text, source)
    if isinstance(document.value, list):
        draft, problems = _from_list(document.value, document)
    elif isinstance(document.value, dict):
        draft, problems = _from_map(document.value, document)
    else:
        draft, problems = None, [Problem(f"holds no rules, but {document.found[()]}", fix=_FIX)]
    problems = [*document.problems, *problems]
    if draft is None or problems:
        raise _invalid(problems, document, source)
    return draft


def read_plain_rules(text: str, source: str) -> Draft:
    """Reads one rule a line; empty lines and lines that start with # are skipped.

    Raises:
        InvalidConstitution: There is no rule, or a line cannot be one.
    """
    lines = {number: line.strip() for number, line in enumerate(text.splitlines(), start=1)}
    rules = {number: line for number, line in lines.items() if line and not line.startswith("#")}
    document = Document(None, lines={(row,): number for row, number in enumerate(rules)})
    draft, problems = _from_list(list(rules.values()), document)
    if draft is None or problems:
        raise _invalid(problems, document, source)
    return draft


def _invalid(problems: Sequence[Problem], document: Document, source: str) -> InvalidConstitution:
    placed = [replace(each, source=source, line=each.line or document.line(each.path)) for each in problems]
    return InvalidConstitution(sorted(placed, key=lambda problem: problem.line)[:MAX_PROBLEMS])


def _from_list(items: Sequence[Value], document: Document) -> tuple[Draft | None, list[Problem]]:
    if not items or len(items) > MAX_RULES:
        return None, [Problem(f"holds {len(items)} rules, not 1 to {MAX_RULES}", fix=_FIX)]
    width = len(str(len(items)))
    rules: list[DraftRule] = []
    problems: list[Problem] = []
    for row, item in enumerate(items):
        if not isinstance(item, str):
            problems.append(Problem(f"rule {row + 1} is {document.found[row,]}", fix="put it in quotes", path=(row,)))
            continue
        fields: dict[str, Value] = {"id": f"rule_{row + 1:0{width}}", "text": item}
        rule, found = validate(DraftRule, fields, ("rules", str(fields["id"])), document)
        rules += [rule] if rule else []
        problems += [replace(problem, line=document.line((row,))) for problem in found]
    return Draft(rules=tuple(rules)), problems


def _from_map(top: dict[str, Value], document: Document) -> tuple[Draft | None, list[Problem]]:
    fields = {key: value for key, value in top.items() if key not in KINDS}
    header, problems = validate(DraftHeader, fields, (), document)
    categories = _section(Category, "categories", document, problems)
    preconditions = _section(Precondition, "preconditions", document, problems)
    rules = _section(DraftRule, "rules", document, problems)
    if not top.get("rules"):
        problems.append(Problem("has no rules", fix=_FIX, path=("rules",)))
    problems += _references(categories, preconditions, rules)
    if problems or header is None:
        return None, problems
    parts = {"categories": tuple(categories), "preconditions": tuple(preconditions), "rules": tuple(rules)}
    return Draft.model_validate({**dict(header), **parts}), problems


def _section(model: type[_Part], kind: str, document: Document, problems: list[Problem]) -> list[_Part]:
    """The entries of one map that are well-formed; adds what is wrong with the others to `problems`."""
    assert isinstance(document.value, dict)
    entries = document.value.get(kind) or {}
    if not isinstance(entries, dict) or len(entries) > MAX_RULES:
        problems.append(Problem(f"'{kind}' must be a map of at most {MAX_RULES} entries", path=(kind,)))
        return []
    parts: list[_Part] = []
    for id, body in entries.items():
        path = (kind, id)
        if not isinstance(body, dict) or "id" in body:
            fix = "give it fields; the key is the id"
            problems.append(Problem(f"must be a map without 'id', but is {document.found[path]}", where_of(path), fix))
            continue
        filled = {name: value for name, value in body.items() if value not in ("", None)}
        part, found = validate(model, {**filled, "id": id}, path, document)
        parts += [part] if part else []
        problems += found
    return parts


def _references(
    categories: Sequence[Category], preconditions: Sequence[Precondition], rules: Sequence[DraftRule]
) -> list[Problem]:
    declared = [category.id for category in categories]
    problems: list[Problem] = []
    for rule in rules:
        if rule.category != UNSORTED.id:
            known = declared or [UNSORTED.id]
            problems += integrity.category_problems(rule.id, rule.category, known)
        if rule.violated_when:
            ids = [precondition.id for precondition in preconditions] or [""]
            problems += integrity.expression_problems(rule.id, parse(rule.violated_when), ids)
    return problems
