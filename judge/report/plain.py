"""Text of models, files and strangers, made harmless to look at. Not for escaping markup: that is the page's part.

A terminal obeys control characters, and bidirectional ones reorder what stands beside them, so that a text could
repaint the verdict above it. Nothing is dropped in silence: each such character is shown as U+FFFD.
"""

from __future__ import annotations

import unicodedata

HIDDEN = "\ufffd"
"""Stands for a character that is not shown."""
_JOINERS = frozenset("\u200c\u200d")  # invisible, but Persian words and many emoji are wrong without them
_LINE_ENDS = frozenset("\n\r\u2028\u2029")
_NO_CHARACTER = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def plain_text(text: str) -> str:
    """Printable characters, single spaces and `\\n`."""
    return text if text.isprintable() else "".join(map(_plain, text.replace("\r\n", "\n")))


def one_line(text: str) -> str:
    """The same with its lines joined by single spaces: a name must not be able to start a line of its own."""
    return " ".join(plain_text(text).splitlines())


def shortened(text: str, limit: int) -> tuple[str, int]:
    """At most `limit` characters, and how many were left out."""
    return (text, 0) if len(text) <= limit else (text[:limit].rstrip(), len(text) - limit)


def brief(text: str, limit: int) -> str:
    """One line, ending with `...` where it was longer than `limit` characters."""
    shown, left_out = shortened(one_line(text), limit)
    return f"{shown}..." if left_out else shown


def _plain(char: str) -> str:
    if char.isprintable() or char in _JOINERS:
        return char
    if char in _LINE_ENDS:
        return "\n"
    return HIDDEN if char != "\t" and unicodedata.category(char) in _NO_CHARACTER else " "
