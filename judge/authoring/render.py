"""Turns rules, statements and objections into prompts. The words live in `prompts/*.jinja`.

Everything that comes from a rule or from a model stands in a prompt as a JSON string on one line, so that it cannot
be taken for the prompt's own words, and every template says that it is data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources

import jinja2

from judge.constitution import Precondition
from judge.types import Message, Prompt

TEMPLATES: tuple[str, ...] = ("score", "rewrite", "decompose", "precondition", "round_trip", "case", "retry")
_MAX_ECHO = 600
"""Characters of an unreadable answer that are shown to the model again."""


def as_data(text: str) -> str:
    """A JSON string on one line, whatever the text holds."""
    return json.dumps(" ".join(text.split()), ensure_ascii=False)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("judge.authoring", "prompts"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # plain text for a model, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["data"] = as_data
    return environment


@cache
def template_digest(name: str) -> str:
    """sha256 of a template's file."""
    source = resources.files("judge.authoring").joinpath("prompts", f"{name}.jinja").read_bytes()
    return hashlib.sha256(source).hexdigest()


@cache
def templates_digest() -> str:
    """sha256 over all templates."""
    return hashlib.sha256("".join(template_digest(name) for name in TEMPLATES).encode()).hexdigest()


def _prompt(name: str, **fields: object) -> Prompt:
    return Prompt((Message("user", _text(name, **fields)),), template_digest=template_digest(name))


def _text(name: str, **fields: object) -> str:
    return _environment().get_template(f"{name}.jinja").render(**fields).strip()


def score_prompt(rule: str, statement: str, *, reading: int, readings: int) -> Prompt:
    """How objective is the statement? The number of the reading makes each of several scorings a prompt of its own.

    Engines seed sampling by the prompt and its place among equal ones in a batch; a batch that is split after a
    failure would give the same sample twice.
    """
    return _prompt("score", rule=rule, statement=statement, reading=reading, readings=readings)


def rewrite_prompt(rule: str, versions: Sequence[tuple[str, float, Sequence[str]]]) -> Prompt:
    """Write a better statement. `versions`: statement, mean score, explanations; the last is the one to improve."""
    return _prompt("rewrite", rule=rule, versions=tuple(versions))


def decompose_prompt(
    statement: str, existing: Sequence[Precondition], attempts: Sequence[tuple[str, Sequence[str]]]
) -> Prompt:
    """Split the statement. `attempts`: earlier answers as JSON, and what was objected to each."""
    return _prompt("decompose", statement=statement, existing=tuple(existing), attempts=tuple(attempts))


def precondition_prompt(statement: str) -> Prompt:
    """Can this be asked of a picture?"""
    return _prompt("precondition", statement=statement)


def round_trip_prompt(statement: str, prose: str) -> Prompt:
    """Do the words that `prose` made of the expression say what the rule says?"""
    return _prompt("round_trip", statement=statement, prose=prose)


def case_prompt(statement: str, facts: Mapping[str, bool]) -> Prompt:
    """Does a picture of which these facts are known break the rule?"""
    return _prompt("case", statement=statement, facts=dict(facts))


def retry_prompt(prompt: Prompt, answer: str, problem: str) -> Prompt:
    """The same question once more, and why the last answer to it could not be read."""
    last = prompt.messages[-1]
    text = _text("retry", question=last.text, answer=answer[:_MAX_ECHO], problem=problem)
    return replace(prompt, messages=(*prompt.messages[:-1], replace(last, text=text)))
