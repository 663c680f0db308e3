"""Turns statements and rules into prompts. The words live in the `*.jinja` files beside this one.

Every prompt starts with the frames and the constant text and ends with what is asked, so that questions about the
same frames share the longest possible prefix. A prompt without frames is the text-only (prior) reading: the same
words, no image token (source: CLUE, arXiv 2501.00192, section 3.4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from functools import cache, lru_cache
from importlib import resources

import jinja2

from judge.types import Frame, Message, Prompt

TEMPLATES: tuple[str, ...] = ("precondition", "rule", "policy", "describe", "reason", "conclude")


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("judge", "prompts"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # plain text for a model, not HTML
        keep_trailing_newline=False,
    )


@cache
def template_digest(name: str) -> str:
    """sha256 of a template's file; every piece of evidence carries it."""
    source = resources.files("judge.prompts").joinpath(f"{name}.jinja").read_bytes()
    return hashlib.sha256(source).hexdigest()


@cache
def templates_digest() -> str:
    """sha256 over all templates."""
    return hashlib.sha256("".join(template_digest(name) for name in TEMPLATES).encode()).hexdigest()


@lru_cache(maxsize=4096)
def _text(name: str, fields: tuple[tuple[str, Hashable], ...]) -> str:
    """Kept, because one statement is asked about many pictures."""
    return _environment().get_template(f"{name}.jinja").render(dict(fields)).strip()


def _prompt(name: str, frames: Sequence[Frame], **fields: Hashable) -> Prompt:
    text = _text(name, tuple(fields.items()))
    return Prompt(messages=(Message("user", text),), frames=tuple(frames), template_digest=template_digest(name))


def precondition_prompt(statement: str, frames: Sequence[Frame] = ()) -> Prompt:
    """Is this statement true of the picture?"""
    return _prompt("precondition", frames, statement=statement)


def rule_prompt(statement: str, frames: Sequence[Frame] = ()) -> Prompt:
    """Does the picture break this rule, asked whole?"""
    return _prompt("rule", frames, statement=statement)


def policy_prompt(statements: Sequence[str], frames: Sequence[Frame] = ()) -> Prompt:
    """Does the picture break any of these rules, all in one prompt?"""
    return _prompt("policy", frames, statements=tuple(statements))


def describe_prompt(frames: Sequence[Frame]) -> Prompt:
    """What does the picture show?"""
    return _prompt("describe", frames)


def reasoning_prompt(statement: str, frames: Sequence[Frame]) -> Prompt:
    """What speaks for the statement, and what against it?"""
    return _prompt("reason", frames, statement=statement)


def conclusion_prompt(statement: str, reasoning: str, frames: Sequence[Frame]) -> Prompt:
    """Behind the model's own reasoning: is the statement true?"""
    first, last = reasoning_prompt(statement, frames), _prompt("conclude", ())
    messages = (*first.messages, Message("assistant", reasoning), *last.messages)
    digest = hashlib.sha256((first.template_digest + last.template_digest).encode()).hexdigest()
    return Prompt(messages=messages, frames=first.frames, template_digest=digest)
