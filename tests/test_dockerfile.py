"""The image cannot be built where tests run; a linter reads its file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def lint(file: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("hadolint")), str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_the_dockerfile_is_linted_clean() -> None:
    found = lint(ROOT / "Dockerfile")
    assert (found.returncode, found.stdout) == (0, "")


def test_the_linter_would_say_so(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM python\nUSER root\n")
    assert lint(tmp_path / "Dockerfile").returncode == 1


def test_both_variants_run_the_service_as_nobody_special() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("FROM base AS")] == ["FROM base AS cpu", "FROM base AS cuda"]
    assert "USER 10001" in lines
