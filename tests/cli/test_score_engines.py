"""`judge score` gives the same verdicts on every engine that runs the embedded model."""

from __future__ import annotations

import subprocess
import sys

import pytest

from judge.assets import sample_media_path
from judge.types import ScoreRow
from tests.contracts.vllm_engine import needs_vllm


def _rows(*options: str) -> list[ScoreRow]:
    command = [sys.executable, "-m", "judge.cli", "score", str(sample_media_path("demo")), "--jsonl", *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert result.returncode == 0, result.stderr
    return [ScoreRow.model_validate_json(line) for line in result.stdout.splitlines()]


@pytest.mark.slow
@needs_vllm
def test_vllm_judges_the_demo_pictures_as_transformers_does() -> None:
    expected, found = _rows(), _rows("--engine", "vllm")
    assert len(found) == 17
    for ours, theirs in zip(expected, found, strict=True):
        assert ours.verdict is not None
        assert theirs.verdict is not None
        assert (theirs.input, theirs.decision) == (ours.input, ours.decision)
        assert [r.outcome for r in theirs.verdict.rules] == [r.outcome for r in ours.verdict.rules]
        assert theirs.verdict.score == pytest.approx(ours.verdict.score, abs=1e-3)
        assert theirs.verdict.notices == ours.verdict.notices  # no canary among them
        assert theirs.verdict.versions.model == ours.verdict.versions.model
        assert theirs.verdict.versions.runtime != ours.verdict.versions.runtime
