"""Turns statements and rules into prompts. The words live in the `*.jinja` files beside this one.

Every prompt starts with the frames and the constant text and ends with what is asked, so that questions about the
same frames share the longest possible prefix. A prompt without frames is the text-only (prior) reading: the same
words, no image token (source: CLUE, arXiv 2501.00192, section 3.4).
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from importlib import resources

import jinja2

from judge.errors import ConfigError, did_you_mean
from judge.prompts.quoting import as_words
from judge.types import Frame, Message, Prompt, PromptLayout, QuestionFormat

TEMPLATES: tuple[str, ...] = ("precondition", "rule", "policy", "describe", "reason", "conclude", "clip", "debate")
TEXT_TEMPLATES: tuple[str, ...] = ("posted", "text")
"""For text that was posted with media, or alone (`judge.prompts.posted`)."""
GUARD_TEMPLATES: tuple[str, ...] = ("guard_llavaguard", "guard_shieldgemma", "guard_shieldstral", "guard_singguard")
"""How guard models were trained to be asked: whether a picture breaks a policy. Blocks: `user`, and where the model
wants them `system`, `policy` (a variable of its chat template) and `answer` (how its answer begins)."""


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
def digests_in_use() -> frozenset[str]:
    """Every digest that evidence of this version can carry; evidence with another one was asked in other words."""
    formats = [QuestionFormat(template=name, frames_last=last) for name in GUARD_TEMPLATES for last in (False, True)]
    own = [*(template_digest(name) for name in TEMPLATES), _conclusion_digest()]
    posted = [combined_digest("posted", digest) for digest in own]
    return frozenset([*own, *posted, template_digest("text"), *(_format_digest(each) for each in formats)])


@cache
def templates_digest(question_format: QuestionFormat | None = None, *, text: bool = False) -> str:
    """sha256 over all templates that a model is asked with; `text`: also those for text.

    Raises:
        ConfigError: There is no such format.
    """
    digests = [template_digest(name) for name in (*TEMPLATES, *(TEXT_TEMPLATES if text else ()))]
    digests += [_format_digest(question_format)] if question_format else []
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def combined_digest(name: str, digest: str) -> str:
    """Of words of this template in front of a prompt with this digest."""
    return hashlib.sha256((template_digest(name) + digest).encode()).hexdigest()


def _format_digest(question_format: QuestionFormat) -> str:
    """The place of the frames counts: it is not written in the file.

    Raises:
        ConfigError: There is no such format.
    """
    name = question_format.template
    if name not in GUARD_TEMPLATES:
        raise ConfigError(f"unknown question format '{name}'", hint=did_you_mean(name, GUARD_TEMPLATES))
    digest = template_digest(name)
    return hashlib.sha256(f"{digest} frames last".encode()).hexdigest() if question_format.frames_last else digest


@lru_cache(maxsize=4096)
def _text(name: str, fields: tuple[tuple[str, Hashable], ...]) -> str:
    """Kept, because one statement is asked about many pictures."""
    return _environment().get_template(f"{name}.jinja").render(dict(fields)).strip()


def render_text(name: str, **fields: Hashable) -> str:
    """The words of a template."""
    return _text(name, tuple(fields.items()))


def render_once(name: str, **fields: str) -> str:
    """The same for words that are not asked again, and are not to be kept."""
    return _environment().get_template(f"{name}.jinja").render(fields).strip()


def _prompt(name: str, frames: Sequence[Frame], **fields: Hashable) -> Prompt:
    text = render_text(name, **fields)
    return Prompt(messages=(Message("user", text),), frames=tuple(frames), template_digest=template_digest(name))


@lru_cache(maxsize=4096)
def _blocks(name: str, statements: tuple[str, ...]) -> Mapping[str, str]:
    template = _environment().get_template(f"{name}.jinja")
    context = template.new_context({"statements": statements})
    return {block: "".join(write(context)).strip("\n") for block, write in template.blocks.items()}


def _guard_prompt(question_format: QuestionFormat, statements: Sequence[str], frames: Sequence[Frame]) -> Prompt:
    """Does the picture break a policy of these rules?

    Raises:
        ConfigError: There is no such format.
    """
    digest = _format_digest(question_format)
    texts = _blocks(question_format.template, tuple(statements))
    system = (Message("system", texts["system"]),) if "system" in texts else ()
    layout = PromptLayout(
        frames_last=question_format.frames_last,
        template_fields=(("policy", texts["policy"]),) if "policy" in texts else (),
        answer_prefix=texts.get("answer", ""),
    )
    return Prompt((*system, Message("user", texts["user"])), tuple(frames), digest, layout)


def precondition_prompt(
    statement: str, frames: Sequence[Frame] = (), question_format: QuestionFormat | None = None
) -> Prompt:
    """Is this statement true of the picture? A guard model is asked whether it breaks a policy of this one line."""
    if question_format:
        return _guard_prompt(question_format, (statement,), frames)
    return _prompt("precondition", frames, statement=statement)


def rule_prompt(statement: str, frames: Sequence[Frame] = (), question_format: QuestionFormat | None = None) -> Prompt:
    """Does the picture break this rule, asked whole?"""
    if question_format:
        return _guard_prompt(question_format, (statement,), frames)
    return _prompt("rule", frames, statement=statement)


def policy_prompt(
    statements: Sequence[str], frames: Sequence[Frame] = (), question_format: QuestionFormat | None = None
) -> Prompt:
    """Does the picture break any of these rules, all in one prompt?"""
    if question_format:
        return _guard_prompt(question_format, statements, frames)
    return _prompt("policy", frames, statements=tuple(statements))


def describe_prompt(frames: Sequence[Frame]) -> Prompt:
    """What does the picture show?"""
    return _prompt("describe", frames)


def clip_prompt(statement: str, frames: Sequence[Frame] = ()) -> Prompt:
    """Is this statement true of the video that these frames are taken from, in order?"""
    labels = tuple(f"Frame {number}:" for number in range(1, len(frames) + 1))
    return replace(_prompt("clip", frames, statement=statement), layout=PromptLayout(frame_labels=labels))


def reasoning_prompt(statement: str, frames: Sequence[Frame]) -> Prompt:
    """What speaks for the statement, and what against it?"""
    return _prompt("reason", frames, statement=statement)


def conclusion_prompt(statement: str, reasoning: str, frames: Sequence[Frame]) -> Prompt:
    """Behind the model's own reasoning, which is words and nothing else (`as_words`): is the statement true?"""
    first, last = reasoning_prompt(statement, frames), _prompt("conclude", ())
    messages = (*first.messages, Message("assistant", as_words(reasoning)), *last.messages)
    return Prompt(messages=messages, frames=first.frames, template_digest=_conclusion_digest())


def _conclusion_digest() -> str:
    return hashlib.sha256((template_digest("reason") + template_digest("conclude")).encode()).hexdigest()
