"""The embedded model against its committed record: as it is, damaged, in bfloat16, in int8, through vLLM."""

from __future__ import annotations

import asyncio
import shutil
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from judge.assets import model_path
from judge.canary import CanaryRecord, CanaryReport, check_at_start, check_canary, find_record, record_canary
from judge.canary.record import Tolerance
from judge.config import EngineConfig
from judge.engines.base import Engine
from judge.engines.build import build_engine
from judge.engines.transformers import TransformersEngine
from judge.errors import ConfigError
from tests.contracts.vllm_engine import needs_vllm, one_vllm, shared_vllm_engine

MODEL = "stickers-vlm"


def check(engine: Engine, record: CanaryRecord) -> CanaryReport:
    return asyncio.run(check_canary(engine, record))


def farthest(report: CanaryReport) -> float:
    return max(each.log_odds or 0.0 for each in report.comparisons)


@pytest.fixture(scope="module")
def record() -> CanaryRecord:
    found = find_record(MODEL)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def engine() -> Engine:
    return build_engine(EngineConfig(device="cpu", dtype="float32"))


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Noise of a tenth of their spread on the weights of one layer, under the same name."""
    source = model_path(MODEL)
    assert source is not None
    folder = tmp_path_factory.mktemp("damaged") / "model"
    shutil.copytree(source, folder)
    weights = load_file(folder / "model.safetensors")
    name = max((name for name in weights if weights[name].ndim == 2), key=lambda name: weights[name].numel())
    noise = torch.randn(weights[name].shape, generator=torch.Generator().manual_seed(0))
    weights[name] += 0.1 * weights[name].std() * noise
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return build_engine(EngineConfig(model=str(folder), device="cpu", dtype="float32"))


def test_the_embedded_model_scores_as_its_committed_record(engine: Engine, record: CanaryRecord) -> None:
    """After training it: `judge canary record --out judge/canary/records/stickers-vlm.json`."""
    report = check(engine, record)
    assert report.status == "ok", report.message
    assert asyncio.run(check_at_start(engine, EngineConfig(canary="strict"))) == ()


def test_its_answers_differ_enough_to_tell_a_model_that_sees_from_one_that_does_not(record: CanaryRecord) -> None:
    scores = [score.p_yes for score in record.scores]
    assert max(scores) - min(scores) > 0.5
    assert record.model == MODEL
    assert record.tolerance == Tolerance()


def test_recording_twice_gives_the_same_record(engine: Engine) -> None:
    first, second = asyncio.run(record_canary(engine)), asyncio.run(record_canary(engine))
    assert check(engine, first).status == "ok"
    assert first.model_dump(exclude={"scores"}) == second.model_dump(exclude={"scores"})
    assert [score.p_yes for score in first.scores] == pytest.approx([score.p_yes for score in second.scores], abs=1e-5)


def test_damaged_weights_are_another_model(damaged: Engine, record: CanaryRecord) -> None:
    assert damaged.info.name == MODEL
    report = check(damaged, record)
    assert (report.status, report.comparisons) == ("stale", ())
    assert f"recorded for another model, '{MODEL}' with digest {record.model_digest[:12]}" in report.message
    (notice,) = asyncio.run(check_at_start(damaged, EngineConfig()))
    assert report.message in notice
    with pytest.raises(ConfigError, match="recorded for another model"):
        asyncio.run(check_at_start(damaged, EngineConfig(canary="strict")))


def test_damaged_weights_are_seen_in_the_scores_too(damaged: Engine, record: CanaryRecord) -> None:
    """As if the digest had not told, e.g. of a server that cannot see its weights."""
    report = check(damaged, record.model_copy(update={"model_digest": damaged.info.digest}))
    assert report.status == "drift"


def test_bfloat16_drifts_by_more_than_float32_may_and_less_than_the_rest_may(record: CanaryRecord) -> None:
    half = build_engine(EngineConfig(device="cpu", dtype="bfloat16"))
    report = check(half, record)
    assert report.status == "ok", report.message
    assert record.tolerance.float32 < farthest(report) < record.tolerance.log_odds


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_weights_in_int8_are_drift(record: CanaryRecord) -> None:
    """Quantised after loading: same files, same digest, same claimed number type."""
    engine = build_engine(EngineConfig(device="cpu", dtype="float32"))
    assert isinstance(engine, TransformersEngine)
    assert engine._loaded is not None
    quantize: Any = torch.ao.quantization.quantize_dynamic
    quantize(engine._loaded.model, {torch.nn.Linear}, dtype=torch.qint8, inplace=True)
    report = check(engine, record)
    assert report.status == "drift"
    assert "transformers/float32/cpu no longer scores as recorded" in report.message


@pytest.mark.slow
@needs_vllm
@one_vllm
def test_vllm_in_float32_scores_as_transformers_did(record: CanaryRecord) -> None:
    report = check(shared_vllm_engine(), record)
    assert (report.status, report.runtime) == ("ok", "vllm/float32/cpu"), report.message
    assert farthest(report) < record.tolerance.float32
