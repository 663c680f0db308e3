"""The README's commands and its Python example run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.forking import run_judge

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\.venv/bin/judge (.+)$", TEXT, flags=re.MULTILINE)
TARGETS = re.findall(r"^make ([a-z-]+)", TEXT, flags=re.MULTILINE)
EXAMPLE = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=240)


def test_there_is_something_to_run() -> None:
    assert len(COMMANDS) >= 5
    assert {"demo", "test", "check"} <= set(TARGETS)
    assert len(EXAMPLE) == 1


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_succeeds(command: str) -> None:
    result = run_judge(*command.split(), cwd=ROOT, timeout=280)
    assert (result.returncode, result.stdout.strip() != "") == (0, True), result.stderr


@pytest.mark.slow
def test_the_python_example_prints_a_decision() -> None:
    result = _run(sys.executable, "-c", EXAMPLE[0])
    assert result.stdout.strip() in {"unsafe", "safe", "uncertain"}, result.stderr


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [target for target in TARGETS if not re.search(rf"^{target}:", makefile, flags=re.MULTILINE)] == []
