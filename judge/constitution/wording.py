"""What is wrong with the words of a statement: the part of `lint` that reads sentences.

The word lists are in `wording.yaml`. They know English only, and no grammar: what they find is for a person to judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, partial
from importlib import resources

import yaml

from judge.constitution.problems import Place, Problem
from judge.constitution.schema import Precondition, Rule
from judge.errors import quoted

MAX_WORDS = 25
"""Longer statements hold more than one fact as a rule."""
_FEWEST_WORDS = 3

_warning = partial(Problem, severity="warning")
_note = partial(Problem, severity="note")
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|«[^»]*»|(?<!\w)'[^']*'(?!\w)")
_CLAUSE_END = re.compile(r"\b(that|which|who|whose|where|while|when)\b", re.IGNORECASE)
_EXCEPTION = re.compile(r"\b(unless|except|excluding|other than|outside of|although|but|whereas)\b|;", re.IGNORECASE)
_JOINT = re.compile(r",? \b(and|or|while|when)\b ", re.IGNORECASE)
_TWO_THINGS = re.compile(
    r"^(there (is|are)\b.*|(an?|another|one|some)\b[^,]*) and (an?|another|one|some)\b", re.IGNORECASE
)
_SEEN_TOGETHER = re.compile(r"\b(are|is) (visible|present|shown|seen|there)\b|^there\b", re.IGNORECASE)


def precondition_wording(precondition: Precondition) -> Iterator[Problem]:
    """A precondition should be one short, objective, measurable sentence about what can be seen."""
    where, path = f"precondition {quoted(precondition.id)}", ("preconditions", precondition.id, "statement")
    text = _QUOTED.sub('""', precondition.statement)
    yield from _words(text, where, path)
    yield from _unmeasured(text, where, path)
    yield from _compound(text, where, path)
    yield from _sentence(text, where, path)


def rule_wording(rule: Rule) -> Iterator[Problem]:
    """A rule's statement joins facts, and may be long; what it says must be as objective."""
    where, path = f"rule {quoted(rule.id)}", ("rules", rule.id, "statement")
    yield from _words(_QUOTED.sub('""', rule.statement), where, path)


def _words(text: str, where: str, path: Place) -> Iterator[Problem]:
    for word in _found("subjective", text):
        message = f"{quoted(word)} is a judgement, not something seen"
        yield _warning(message, where, "say what is seen that makes it so", path=path, kind="subjective")
    for word in _found("unseen", text):
        message = f"{quoted(word)} cannot be seen"
        yield _warning(message, where, "name the visible signs of it", path=path, kind="unseen")


def _unmeasured(text: str, where: str, path: Place) -> Iterator[Problem]:
    words = _found("unmeasured", text)
    if words:
        message = f"no measure for {', '.join(quoted(word) for word in words)}"
        fix = "say how many, how large or compared with what, if cases near the line matter"
        yield _note(message, where, fix, path=path, kind="unmeasured")


def _compound(text: str, where: str, path: Place) -> Iterator[Problem]:
    fix = "one fact each: split it, and join the parts in violated_when"
    exception = _EXCEPTION.search(text)
    if exception:
        message = f"holds more than one fact: {quoted(exception.group())}"
        yield _warning(message, where, fix, path=path, kind="compound")
        return
    if _TWO_THINGS.search(text) and _SEEN_TOGETHER.search(text):
        yield _warning("names two things at once: 'and'", where, fix, path=path, kind="compound")
        return
    for joint in _JOINT.finditer(text):
        before, after = text[: joint.start()], _CLAUSE_END.split(text[joint.end() :])[0]
        if _found("verbs", before) and _starts_clause(after):
            either = joint.group(1).lower() == "or"
            make = _note if either else _warning
            message = f"{'offers two facts' if either else 'joins two facts'}: {quoted(joint.group(1).lower())}"
            yield make(message, where, fix, path=path, kind="compound")
            return


def _starts_clause(text: str) -> bool:
    """Whether a new subject comes first, with a verb of its own."""
    return bool(_pattern("determiners").match(text)) and bool(_found("verbs", text))


def _sentence(text: str, where: str, path: Place) -> Iterator[Problem]:
    n_words = len(text.split())
    if n_words > MAX_WORDS:
        message = f"is {n_words} words long, more than {MAX_WORDS}"
        yield _warning(message, where, "shorten it, or split it", path=path, kind="long")
    wrong = _not_a_sentence(text, n_words)
    if wrong:
        fix = "write one full sentence that is true or false: A knife is visible."
        yield _warning(f"is not one full sentence: {wrong}", where, fix, path=path, kind="sentence")


def _not_a_sentence(text: str, n_words: int) -> str:
    """Why, or an empty text."""
    if n_words < _FEWEST_WORDS:
        return f"fewer than {_FEWEST_WORDS} words"
    if text[0].islower():
        return "it begins with a small letter"
    if not text.endswith("."):
        return "it does not end with a full stop"
    if re.search(r"[.!?]\s+[A-Z]", text):
        return "it is several"
    _, _, rest = text.partition(" ")
    # A third person singular that no list knows ends in -s, too; a plural noun then passes, which does no harm.
    if not _found("verbs", rest) and not re.search(r"\b\w+[^s\W]s\b(?!')", rest):
        return "it has no verb"
    return ""


def _found(kind: str, text: str) -> list[str]:
    return list(dict.fromkeys(match.group().lower() for match in _pattern(kind).finditer(text)))


@cache
def _pattern(kind: str) -> re.Pattern[str]:
    phrases = sorted(_lists()[kind], key=len, reverse=True)  # the longest phrase that fits
    return re.compile(rf"(?<![\w-])(?:{'|'.join(re.escape(phrase) for phrase in phrases)})(?![\w-])", re.IGNORECASE)


@cache
def _lists() -> dict[str, list[str]]:
    text = resources.files("judge.constitution").joinpath("wording.yaml").read_text(encoding="utf-8")
    lists: dict[str, list[str]] = yaml.safe_load(text)
    return lists
