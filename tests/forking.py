"""Runs `judge` in a process of its own that is forked from one which has imported everything: seconds cheaper than a
new interpreter, with the same exit codes, streams and signals. `tests/cli/test_start.py` starts real interpreters.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.preloaded"])


def run_judge(
    *arguments: str,
    stdin: str = "",
    timeout: float = 240,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """As `python -m judge.cli ...` with captured output.

    Raises:
        TimeoutExpired: It took longer, and was killed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "0").write_text(stdin, encoding="utf-8")
        process = _FORKS.Process(target=_main, args=(arguments, name, cwd or Path.cwd(), dict(env or os.environ)))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, timeout)
        out, err = ((folder / number).read_text(encoding="utf-8") for number in ("1", "2"))
        return subprocess.CompletedProcess(arguments, process.exitcode, out, err)


def _main(arguments: Sequence[str], folder: str, cwd: Path, env: Mapping[str, str]) -> None:
    for number, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY | os.O_CREAT), (2, os.O_WRONLY | os.O_CREAT)):
        os.dup2(os.open(f"{folder}/{number}", flags | os.O_APPEND, 0o600), number)
    sys.stdin = sys.__stdin__ = os.fdopen(0, "r", encoding="utf-8", closefd=False)
    sys.stdout = sys.__stdout__ = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.__stderr__ = os.fdopen(2, "w", encoding="utf-8", closefd=False)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["judge", *arguments]
    from judge.cli import main  # noqa: PLC0415

    try:
        main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
