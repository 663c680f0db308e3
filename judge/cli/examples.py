"""The labelled examples of a policy's rules, judged: which rules decide their own cases as their authors say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from judge.assets import sample_media_path
from judge.constitution import Constitution, Example, Rule
from judge.errors import ConfigError, JudgeError, MediaError, quoted
from judge.media import FailedInput, FileMedia, FoundInput, Input
from judge.types import Probability, RuleOutcome, ScoreRow, Wire

SAMPLE = "sample:"
"""Prefix of media that come with this installation."""

Result = Literal["passed", "failed", "undecided", "error"]
_COLOURS: dict[Result, str] = {"passed": "green", "failed": "bold red", "undecided": "yellow", "error": "magenta"}
_UNPRINTABLE = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd]")


class ExampleResult(Wire):
    """One example of one rule."""

    rule_id: str
    """Of the rule."""
    media: str
    """As the constitution names it."""
    violates: bool
    """What its author says."""
    outcome: RuleOutcome | None = None
    """What the rule's decision is; None if there is none."""
    score: Probability | None = None
    """The rule's score; None if there is none."""
    result: Result
    """failed = decided otherwise than its author says; undecided = abstained; error = not judged at all."""
    reason: str = ""
    """Why it is undecided or an error."""


def media_of(constitution: Constitution) -> list[str]:
    """All media that examples name, each once."""
    return list(dict.fromkeys(each.media for rule in constitution.rules for each in rule.examples))


def locate(media: str, folder: Path) -> Input:
    """Where an example's media lies. A policy may come from a stranger: it can name files below `folder`, no others."""
    try:
        return FoundInput(media, FileMedia(path=_path(media, folder)))
    except (ConfigError, MediaError) as error:
        return FailedInput(media, MediaError(error.message, hint=error.hint))


def _path(media: str, folder: Path) -> Path:
    if media.startswith(SAMPLE):
        return sample_media_path(media.removeprefix(SAMPLE))
    if re.match(r"[a-z][a-z0-9+.-]*://", media, re.IGNORECASE):
        raise MediaError(f"{quoted(media)} is a URL", hint="keep examples beside the constitution")
    try:
        path = (folder / media).resolve()
        below = path.is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, a null character, a loop of links
        raise MediaError(f"{quoted(media)} is no path: {error}") from error
    if not below:
        hint = "name the folder that holds the examples with --media-folder"
        raise MediaError(f"{quoted(media)} lies outside of '{folder}'", hint=hint)
    return path


def compare_examples(constitution: Constitution, rows: Iterable[ScoreRow]) -> list[ExampleResult]:
    """Every example of every rule with its row; `rows` has one per media, by its name."""
    by_media = {row.input: row for row in rows}
    return [_result(rule, each, by_media[each.media]) for rule in constitution.rules for each in rule.examples]


def _result(rule: Rule, example: Example, row: ScoreRow) -> ExampleResult:
    def result(result: Result, reason: str) -> ExampleResult:
        return ExampleResult(
            rule_id=rule.id,
            media=example.media,
            violates=example.violates,
            outcome=decision.outcome if decision else None,
            score=decision.score if decision else None,
            result=result,
            reason=reason,
        )

    rules = row.verdict.rules if row.verdict else ()
    decision = next((each for each in rules if each.rule_id == rule.id), None)
    if row.error:
        return result("error", str(JudgeError(row.error.message, hint=row.error.hint)))
    if decision is None:
        return result("error", f"the rule is not for this kind of media, only for {', '.join(rule.modalities)}")
    if decision.outcome == "abstained":
        return result("undecided", decision.reason)
    agrees = (decision.outcome == "violated") == example.violates
    return result("passed" if agrees else "failed", "")


def print_results(console: Console, results: Sequence[ExampleResult]) -> None:
    """One line per example, then the counts."""
    table = Table("rule", "example", "expected", "got", "score", "result", "why")
    table.columns[1].overflow = "fold"
    for each in results:
        table.add_row(
            each.rule_id,
            escape(each.media),
            "violated" if each.violates else "not_violated",
            each.outcome or "",
            "" if each.score is None else f"{each.score:.2f}",
            f"[{_COLOURS[each.result]}]{each.result}[/]",
            escape(each.reason),
        )
    console.print(table)
    counts = Counter(each.result for each in results)
    console.print(", ".join(f"{counts.get(name, 0)} {name}" for name in _COLOURS))


def junit(constitution: str, results: Sequence[ExampleResult]) -> str:
    """The results in the XML of JUnit, which build servers read; undecided counts as an error."""
    counts = Counter(each.result for each in results)
    errors = str(counts["error"] + counts["undecided"])
    numbers = {"tests": str(len(results)), "failures": str(counts["failed"]), "errors": errors}
    suite = ElementTree.Element("testsuite", {"name": constitution, **numbers})
    for each in results:
        name = f"{each.media} {'violates' if each.violates else 'does not violate'}"
        case = ElementTree.SubElement(suite, "testcase", {"classname": each.rule_id, "name": _printable(name)})
        if each.result != "passed":
            tag = "failure" if each.result == "failed" else "error"
            message = each.reason or f"got {each.outcome}"
            ElementTree.SubElement(case, tag, {"type": each.result, "message": _printable(message)})
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"


def _printable(text: str) -> str:
    return _UNPRINTABLE.sub("?", text)
