"""`judge ... | head -1`: the real command and real pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "judge.cli"]


@pytest.fixture
def failing(tmp_path: Path) -> list[str]:
    """An empty folder, many times: no model is needed, and the rows are far more than a pipe holds."""
    return [str(tmp_path)] * 1000


@pytest.mark.parametrize("form", ["--jsonl", "--explain"])
def test_a_reader_who_has_seen_enough_ends_it_quietly(form: str, failing: list[str], tmp_path: Path) -> None:
    """With --explain, the page is written all the same."""
    page = tmp_path / "page.html"
    command = [*COMMAND, "score", *failing, form, *(["--report", str(page)] if form == "--explain" else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() != ""
        process.stdout.close()
        messages = process.stderr.read()
        assert (process.wait(timeout=300), "Error" in messages, "Traceback" in messages) == (141, False, False)
    assert page.exists() == (form == "--explain")


@pytest.mark.parametrize("arguments", [["--version"], ["constitution", "show", "stickers"]])
def test_a_reader_who_never_read_is_no_error_either(arguments: list[str]) -> None:
    """Little output stays in the buffer until the end, and fails only there."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = subprocess.run([*COMMAND, *arguments], stdout=write_end, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write_end)
    assert (result.returncode, result.stderr) == (141, "")


def test_closed_messages_end_it_as_well() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [*COMMAND, "score", "x.png", "--preset", "wild"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=write_end, check=False)
    os.close(write_end)
    assert (result.returncode, result.stdout) == (141, b"")


def test_who_reads_everything_gets_everything(failing: list[str]) -> None:
    result = subprocess.run([*COMMAND, "score", *failing, "--jsonl"], capture_output=True, text=True, check=False)
    assert (result.returncode, len(result.stdout.splitlines()), result.stderr) == (3, 1000, "")
