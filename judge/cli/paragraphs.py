"""Writes text of any origin to the terminal: indented, wrapped, of bearable length, and obeyed by nobody."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from judge.report.plain import brief, one_line, plain_text, shortened

LONGEST_CHARS = 800
"""Of one text; the rest is only in JSON and on the page."""
MOST_LINES = 20
"""Of one text, before wrapping."""
_NARROWEST_COLUMNS = 20


def say(console: Console, indent: int, *parts: str | tuple[str, str]) -> None:
    """One line of parts, each with its style where it has one; no part can begin another line or go on for ever."""
    pairs = [(part, "") if isinstance(part, str) else part for part in parts]
    _write(console, indent, Text.assemble(*((brief(text, LONGEST_CHARS), style) for text, style in pairs)))


def say_text(console: Console, indent: int, text: str, style: str = "") -> None:
    """A text with its own line breaks, cut where it is longer than `LONGEST_CHARS` or `MOST_LINES`."""
    whole = plain_text(text).strip()
    shown = "\n".join(shortened(whole, LONGEST_CHARS)[0].split("\n")[:MOST_LINES])
    _write(console, indent, Text(shown, style))
    if left_out := len(whole) - len(shown):
        say(console, indent, (f"[{left_out:,} more characters, shown by --json and --report]", "dim"))


def say_line(console: Console, indent: int, head: str, text: str) -> bool:
    """A head, and as much of the text as fits behind it on one line; whether something was cut."""
    line = Text(f"{' ' * indent}{one_line(head)}  {shortened(one_line(text), LONGEST_CHARS)[0]}".rstrip())
    cut = line.cell_len > console.width or len(text) > LONGEST_CHARS
    line.truncate(console.width, overflow="ellipsis")
    console.print(line)
    return cut


def _write(console: Console, indent: int, text: Text) -> None:
    for line in text.wrap(console, max(console.width - indent, _NARROWEST_COLUMNS)):
        line.rstrip()
        console.print(Text(" " * indent) + line)
