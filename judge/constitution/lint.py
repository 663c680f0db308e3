"""`judge constitution lint`: everything of `check`, then advice on wording, likeness, overlap and examples.

A warning that is meant can be accepted with a comment at the end of its line, or of its entry's first line:
`# lint: allow compound, unmeasured`. A comment is no part of the policy, so that accepting changes no digest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from judge.constitution.check import placed, warnings
from judge.constitution.document import Document
from judge.constitution.load import read_draft, read_text
from judge.constitution.overlap import overlaps
from judge.constitution.problems import MAX_PROBLEMS, InvalidConstitution, Problem
from judge.constitution.schema import Constitution
from judge.constitution.similar import near_duplicates
from judge.constitution.wording import precondition_wording, rule_wording
from judge.errors import did_you_mean, quoted

KINDS: dict[str, str] = {
    "idle-category": "no rule belongs to a category",
    "mapping": "a name that the other taxonomy does not have",
    "no-focus": "a precondition without objects to look at",
    "no-source": "a rule that does not say where it comes from",
    "no-examples": "a rule without labelled examples, or with examples of one kind only",
    "negative": "a negative statement",
    "subjective": "a word that is a judgement",
    "unseen": "intent, consent, law: nothing that a camera shows",
    "unmeasured": "an amount without a measure",
    "compound": "more than one fact in a statement",
    "sentence": "a statement that is not one full sentence",
    "long": "a statement of more than 25 words",
    "duplicate": "two preconditions that say nearly the same",
    "opposite": "two preconditions of which one is the negation of the other",
    "no-difference": "a precondition that cannot change its rule",
    "counted-twice": "an alternative that at_least counts twice",
    "empty-scene": "a rule that media violate by showing nothing",
    "overlap": "a rule that others include",
    "contradiction": "rules that all media violate together",
    "allow": "a comment that accepts nothing",
}
"""Every kind of warning and note, in words."""

_ALLOW = re.compile(r"#\s*lint:\s*allow\s+([\w-]+(?:\s*,\s*[\w-]+)*)")


@dataclass(frozen=True, slots=True)
class Report:
    """What lint found, and what the file's author accepted; both in the order of the lines."""

    findings: tuple[Problem, ...]
    accepted: tuple[Problem, ...] = ()


def lint_file(path: Path) -> Report:
    """Lints a policy file; one that cannot be read has that as its only finding."""
    try:
        return lint_text(read_text(path), str(path))
    except InvalidConstitution as error:
        return Report(error.problems)


def lint_text(text: str, source: str) -> Report:
    """Lints a policy text; `source` is its name in the findings. Advice comes once no error is left."""
    try:
        draft = read_draft(text, source)
    except InvalidConstitution as error:
        return Report(error.problems)
    if draft.constitution is None:
        return Report(draft.problems)
    found = placed(_findings(draft.constitution), draft.document, source)
    allowed = _allowed(text)
    accepted = tuple(problem for problem in found if _allowing_lines(problem, draft.document, allowed))
    used = {(line, each.kind) for each in accepted for line in _allowing_lines(each, draft.document, allowed)}
    findings = [problem for problem in found if problem not in accepted]
    findings += placed(_idle_comments(allowed, used), draft.document, source)
    gravest = sorted(findings, key=lambda each: each.severity == "note")[:MAX_PROBLEMS]
    return Report(tuple(sorted(gravest, key=lambda each: each.line)), accepted)


def _findings(constitution: Constitution) -> Iterator[Problem]:
    yield from warnings(constitution)
    for precondition in constitution.preconditions:
        yield from precondition_wording(precondition)
    for rule in constitution.rules:
        yield from rule_wording(rule)
    yield from near_duplicates(constitution.preconditions)
    yield from overlaps(constitution)
    yield from _examples(constitution)


def _examples(constitution: Constitution) -> Iterator[Problem]:
    """Rules without examples are named in one note: a policy under way would drown in them."""
    without = [rule.id for rule in constitution.rules if not rule.examples]
    if without:
        ids = ", ".join(quoted(id) for id in without[:5]) + (", ..." if len(without) > 5 else "")
        message = f"{len(without)} of {len(constitution.rules)} rules have no examples: {ids}"
        yield Problem(message, "", "add media to test them with", "note", ("rules",), kind="no-examples")
    for rule in constitution.rules:
        labels = {example.violates for example in rule.examples}
        if len(labels) == 1:
            message = f"every example is {'a violation' if labels == {True} else 'harmless'}"
            path = ("rules", rule.id, "examples")
            yield Problem(message, f"rule {quoted(rule.id)}", "add the other kind", "note", path, kind="no-examples")


def _allowed(text: str) -> dict[int, tuple[str, ...]]:
    """Line -> the kinds that a comment on it accepts."""
    found = ((number, _ALLOW.search(line)) for number, line in enumerate(text.splitlines(), 1) if "lint" in line)
    return {number: tuple(re.split(r"\s*,\s*", match.group(1))) for number, match in found if match}


def _allowing_lines(problem: Problem, document: Document, allowed: dict[int, tuple[str, ...]]) -> list[int]:
    lines = {problem.line, document.line(problem.path[:2])}
    return [line for line in lines if problem.kind and problem.kind in allowed.get(line, ())]


def _idle_comments(allowed: dict[int, tuple[str, ...]], used: set[tuple[int, str]]) -> Iterator[Problem]:
    for line, kinds in allowed.items():
        for kind in kinds:
            if kind not in KINDS:
                message = f"there is no finding of the kind {quoted(kind)} to allow"
                yield Problem(message, "", did_you_mean(kind, KINDS), "warning", line=line, kind="allow")
            elif (line, kind) not in used:
                yield Problem(f"nothing of the kind {quoted(kind)} to allow here", "", "remove the comment", "note",
                              line=line, kind="allow")  # fmt: skip
