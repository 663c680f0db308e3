"""The README's commands and its Python example run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.running import judge

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\.venv/bin/judge (.+)$", TEXT, flags=re.MULTILINE)
TARGETS = re.findall(r"^make ([a-z-]+)", TEXT, flags=re.MULTILINE)
EXAMPLE = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory has what the commands read, of twenty clips the first four; what they write lands there."""
    samples = Path("judge/stickers/samples")
    clips = sorted((ROOT / samples / "clips" / "demo-video").iterdir())[:4]
    for path in (ROOT / samples / "demo", ROOT / "constitutions", *clips):
        link = tmp_path / path.relative_to(ROOT)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(path)
    monkeypatch.chdir(tmp_path)


def test_there_is_something_to_run() -> None:
    assert len(COMMANDS) >= 5
    assert {"demo", "test", "check"} <= set(TARGETS)
    assert len(EXAMPLE) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_readme_succeeds(command: str) -> None:
    result = judge(*command.split())
    assert (result.returncode, result.stdout.strip() != "") == (0, True), result.stderr


@pytest.mark.slow
def test_the_python_example_prints_a_decision() -> None:
    """In a process of its own, as its reader runs it."""
    result = subprocess.run([sys.executable, "-c", EXAMPLE[0]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.stdout.strip() in {"unsafe", "safe", "uncertain"}, result.stderr


def test_the_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [target for target in TARGETS if not re.search(rf"^{target}:", makefile, flags=re.MULTILINE)] == []
