"""Ends the process as other command line tools end when nobody reads on: `judge score ... | head -1`.

SIGPIPE itself stays ignored, as Python has it: with its default action, a server that hangs up would kill us, too.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

EXIT_NO_READER = 141
"""128 + SIGPIPE: what a shell reports of a tool that this signal ended."""


class ReadStream(io.TextIOWrapper):
    """Standard output or error; once its reader has gone, writing to it ends the process with `EXIT_NO_READER`.

    `SystemExit` is raised here, and not where commands start, because rich and typer would answer a
    `BrokenPipeError` with exit code 1 on their own.
    """

    def write(self, text: str, /) -> int:
        with self._reader_may_go():
            return super().write(text)

    def flush(self) -> None:
        with self._reader_may_go():
            super().flush()

    @contextmanager
    def _reader_may_go(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError as error:
            with open(os.devnull, "wb") as nowhere:  # what is still in the buffer is flushed again when Python ends
                os.dup2(nowhere.fileno(), self.fileno())
            raise SystemExit(EXIT_NO_READER) from error


def watch_pipes() -> None:
    """From here on, closed pipes end the process; streams that are not real files stay as they are."""
    sys.stdout, sys.stderr = _watched(sys.stdout), _watched(sys.stderr)


def flush_pipes() -> None:
    """To be called last: a reader may have gone before anything left the buffer."""
    sys.stdout.flush()
    sys.stderr.flush()


def _watched(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    return ReadStream(  # the old one stays usable: libraries may hold it, or take it from `sys.__stdout__`
        stream.buffer,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
