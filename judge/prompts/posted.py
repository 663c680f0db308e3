"""Text that was posted with media, or alone: strangers' words as content of a prompt.

Behind the frames and before everything else, so that all questions about the media share them. The readings that a
question is compared with (no picture, a blank one, noise) hold no such words: like the picture, they are what is
judged and not what the statement alone suggests, and they are never part of what is kept for other media.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache

from judge.errors import MediaError
from judge.prompts.quoting import quote
from judge.prompts.render import combined_digest, render_once, template_digest
from judge.types import Media, Message, Prompt

MAX_CHARACTERS = 10_000
"""Of a text, as it is shown."""


def with_posted(prompt: Prompt, text: str) -> Prompt:
    """The same question about media that was posted with this text; unchanged if the text shows nothing."""
    words = _quoted(text)
    if not words:
        return prompt
    first, *others = prompt.messages
    shown = Message(first.role, f"{render_once('posted', words=words)}\n{first.text}")
    return replace(prompt, messages=(shown, *others), template_digest=posted_digest(prompt.template_digest, text))


def posted_digest(digest: str, text: str) -> str:
    """What `with_posted` makes of a template's digest."""
    return combined_digest("posted", digest) if _quoted(text) else digest


def text_prompt(statement: str, text: str = "") -> Prompt:
    """Is this statement true of the text? Without it: the prior, in which it is missing as a picture would be."""
    shown = render_once("text", words=_quoted(text), statement=statement)
    return Prompt((Message("user", shown),), template_digest=template_digest("text"))


def text_media(text: str, source: str = "") -> Media:
    """A text without a picture.

    Raises:
        MediaError: It is too long, or shows nothing.
    """
    check_text(text)
    if not _quoted(text):
        raise MediaError("the text is empty", hint="send a text, or a picture")
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Media(digest, "text", (), 0.0, source, text=text)


def check_text(text: str) -> None:
    """Raises `MediaError` if it is too long to be shown."""
    if len(text) > MAX_CHARACTERS or len(_quoted(text)) > MAX_CHARACTERS:
        raise MediaError(f"the text is longer than {MAX_CHARACTERS} characters", hint="send a shorter one")


@lru_cache(maxsize=32)
def _quoted(text: str) -> str:
    """Few are kept: only the questions about one media need the same one again."""
    return quote(text)
