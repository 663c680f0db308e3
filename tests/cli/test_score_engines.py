"""`judge score` gives the same verdicts on every engine that runs the embedded model."""

from __future__ import annotations

import pytest

from judge.assets import sample_media_path
from judge.engines.vllm import VllmEngine
from judge.types import ScoreRow
from tests.cli.running import judge
from tests.contracts.vllm_engine import needs_vllm, one_vllm, shared_vllm_engine


def _rows(*options: str) -> list[ScoreRow]:
    result = judge("score", str(sample_media_path("demo")), "--jsonl", *options)
    assert result.returncode == 0, result.stderr
    return [ScoreRow.model_validate_json(line) for line in result.stdout.splitlines()]


@pytest.fixture
def started_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command gets the engine that other tests have started already, and leaves it running."""

    engine = shared_vllm_engine()

    async def stay(_: VllmEngine) -> None: ...

    monkeypatch.setattr(VllmEngine, "from_config", lambda _: engine)
    monkeypatch.setattr(VllmEngine, "close", stay)


@pytest.mark.slow
@pytest.mark.usefixtures("started_before")
@needs_vllm
@one_vllm
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
