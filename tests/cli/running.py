"""The `judge` command inside the test's process: a process of its own takes seconds only to import a model's libraries.

Its streams, arguments, log and warnings are those of a fresh process without a terminal. What needs a real one (pipes,
signals, the console script, starting vLLM) is tested with a real one: test_pipes, test_authoring, test_score_engines,
test_readme and test_wheel.
"""

from __future__ import annotations

import io
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import CompletedProcess

import pytest

from judge.cli import main


class _Pipe(io.BytesIO):
    """Keeps what was written, even when a library's log still holds the stream and the stream is thrown away."""

    def close(self) -> None: ...


def judge(*arguments: str, stdin: str = "") -> CompletedProcess[str]:
    """What `judge` with these arguments does; an error that is none of ours is raised instead of printed."""
    out, messages = _Pipe(), _Pipe()
    with pytest.MonkeyPatch.context() as patch, _fresh_log(), warnings.catch_warnings():
        patch.setattr(sys, "argv", ["judge", *arguments])
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        patch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="utf-8"))
        patch.setattr(sys, "stderr", io.TextIOWrapper(messages, encoding="utf-8", errors="backslashreplace"))
        patch.setattr(sys, "excepthook", sys.excepthook)  # typer sets its own
        patch.setenv("COLUMNS", "80")  # else the terminal that pytest was started in
        warnings.showwarning = _print_warning
        code = _exit_code()
    return CompletedProcess([*arguments], code, out.getvalue().decode(), messages.getvalue().decode())


def _exit_code() -> int:
    try:
        main()
    except SystemExit as error:
        return int(error.code or 0)
    return 0


@contextmanager
def _fresh_log() -> Iterator[None]:
    """Without pytest's handlers, warnings are printed to standard error."""
    root = logging.getLogger()
    handlers, root.handlers = root.handlers, []
    try:
        yield
    finally:
        root.handlers = handlers


def _print_warning(message: object, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
    if not issubclass(category, DeprecationWarning | PendingDeprecationWarning | ResourceWarning):
        print(warnings.formatwarning(str(message), category, filename, lineno), file=sys.stderr)
