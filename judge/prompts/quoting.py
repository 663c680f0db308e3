"""Text that a model wrote, made safe to put into a later prompt.

A tokenizer turns the spelling of a control token into the token itself: a text that spells `<image>` would ask for
one more picture, and one that spells `<|im_end|>` would end its own turn and begin another speaker's. Pictures can
make a model write such words.
"""

from __future__ import annotations

import re

_CONTROL = re.compile(r"<([^<>\s]+)>|\[(/?[A-Za-z_]+)\]")
"""`<image>`, `<|im_end|>`, `</s>`, `[INST]`: whatever brackets, without a space inside, may be a token."""


def as_words(text: str) -> str:
    """The text with round brackets in every place where a control token may be spelled: `(image)`."""
    return _CONTROL.sub(lambda match: f"({match[1] or match[2]})", text)
