"""Text that a model or a stranger wrote, made safe to put into a prompt.

A tokenizer turns the spelling of a control token into the token itself: a text that spells `<image>` would ask for
one more picture, and one that spells `<|im_end|>` would end its own turn and begin another speaker's. Pictures can
make a model write such words.
"""

from __future__ import annotations

import re
import unicodedata

_CONTROL = re.compile(r"<([^<>\s]+)>|\[(/?[A-Za-z_]+)\]")
"""`<image>`, `<|im_end|>`, `</s>`, `[INST]`: whatever brackets, without a space inside, may be a token."""
_JOINERS = "\u200c\u200d"
"""Invisible, but part of how words and emoji are written."""


def quote(text: str) -> str:
    """The text on one line, to stand between double quotation marks: nothing in it can end them.

    Compatibility forms become the plain letters that they look like; what is invisible (control characters, changes of
    direction, tag characters) is left out.
    """
    seen = "".join(_shown(char) for char in unicodedata.normalize("NFKC", text))
    return as_words(" ".join(seen.split()))


def _shown(char: str) -> str:
    if char.isspace() or char in _JOINERS:
        return char
    if unicodedata.category(char) in {"Cc", "Cf", "Cs"}:
        return ""
    return "'" if "QUOTATION" in unicodedata.name(char, "") else char


def as_words(text: str) -> str:
    """The text with round brackets in every place where a control token may be spelled: `(image)`."""
    return _CONTROL.sub(lambda match: f"({match[1] or match[2]})", text)
