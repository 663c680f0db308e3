"""From the bytes of a table to its lines. Tables found in the wild are not always clean UTF-8."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from judge.errors import ConfigError

_LONGEST_LINE_BYTES = 64 * 2**20
"""A longer line is no row of a table, and would be held in memory."""
_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def decode_text(data: bytes) -> str:
    """Lines that are not UTF-8 are taken as ISO-8859-1, which takes any byte: VHD11K's tables mix both."""
    return "\n".join(decode_line(line) for line in data.removeprefix(_UTF8_MARK).split(b"\n"))


def decode_line(line: bytes) -> str:
    """As `decode_text`, for one line."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("iso-8859-1")


def read_lines(file: BinaryIO, source: str) -> Iterator[str]:
    """The lines with their ends, one at a time.

    Raises:
        ConfigError: It is UTF-16, or a line is longer than 64 MiB.
    """
    first = True
    while line := file.readline(_LONGEST_LINE_BYTES):
        if first and line.startswith(_UTF16_MARKS):
            raise ConfigError(f"'{source}' is UTF-16", hint="save it as UTF-8")
        if len(line) == _LONGEST_LINE_BYTES and not line.endswith(b"\n"):
            raise ConfigError(f"'{source}' has a line of more than {_LONGEST_LINE_BYTES:,} bytes")
        yield decode_line(line.removeprefix(_UTF8_MARK) if first else line)
        first = False
