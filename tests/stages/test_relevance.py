from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from judge.config import Cascade, JudgeConfig, RelevanceSettings, Thresholds
from judge.constitution import parse_constitution
from judge.engines.base import ModelInfo
from judge.engines.scripted import ScriptedEngine
from judge.errors import EngineError
from judge.pipeline import Judge
from judge.stages.prior_store import PriorStore
from judge.stages.relevance import RelevanceScan
from judge.types import Domain, Frame, Media, Verdict

POLICY = parse_constitution(
    """
name: small
version: "1"
categories: {harm: {title: Harm}}
preconditions:
  knife: {statement: knife}
  food: {statement: food}
  wine: {statement: wine}
  fire: {statement: fire}
rules:
  threat: {category: harm, severity: medium, text: t, statement: s, violated_when: knife and not food}
  drunk: {category: harm, severity: low, text: t, statement: s, violated_when: wine}
  burning: {category: harm, severity: critical, text: t, statement: s, violated_when: fire}
""",
    source="small",
)
SIMILARITY = {"knife": 0.10, "food": 0.30, "wine": 0.21, "fire": 0.0}


class TableEmbedder:
    """Every frame is the first axis; a text's cosine with it is looked up."""

    info = ModelInfo("table", "digest-of-table")

    def __init__(self, error: EngineError | None = None) -> None:
        self.error = error
        self.texts: list[str] = []

    async def embed_frames(self, frames: Sequence[Frame]) -> NDArray[np.float32]:
        if self.error:
            raise self.error
        return np.tile(np.array([[1.0, 0.0]], dtype=np.float32), (len(frames), 1))

    async def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.texts += texts
        rows = [(SIMILARITY[text], (1 - SIMILARITY[text] ** 2) ** 0.5) for text in texts]
        return np.array(rows, dtype=np.float32)


def media(n: int) -> list[Media]:
    return [Media(str(i), "image", (Frame(0, 0.0, np.zeros((2, 2, 3), np.uint8)),), 0.0) for i in range(n)]


async def judged(embedder: TableEmbedder, engine: ScriptedEngine, **settings: object) -> tuple[Verdict, ScriptedEngine]:
    config = JudgeConfig(
        thresholds=Thresholds(preset="none"),
        cascade=Cascade(relevance=RelevanceSettings.model_validate(settings)),
    )
    scan = RelevanceScan(embedder, POLICY, config.cascade.relevance)
    judge = Judge(engine, POLICY, config, priors=PriorStore(), scan=scan)
    verdicts = await judge.judge(media(2))
    return verdicts[0], engine


def asked(engine: ScriptedEngine) -> list[str]:
    return [prompt.messages[0].text.rsplit("Statement: ")[-1] for call in engine.calls for prompt in call.prompts]


async def test_rules_far_from_the_frame_are_not_asked_except_the_severe_ones() -> None:
    """The nearest statement counts (food keeps `threat`); `burning` is critical."""
    embedder = TableEmbedder()
    verdict, engine = await judged(embedder, ScriptedEngine(default=0.0))
    assert asked(engine) == ["knife", "food", "fire"] * 2
    assert embedder.texts == ["knife", "food", "wine", "fire"], "statements are encoded once"
    drunk = verdict.rules[1]
    assert (drunk.outcome, drunk.stage, drunk.score) == ("not_violated", "relevance", 0.0)
    assert [(item.stage, item.outcome, item.rationale) for item in drunk.evidence] == [
        ("relevance", "rejected", "similarity 0.210 is under 0.220")
    ]
    assert (verdict.rules[0].stage, verdict.rules[2].stage) == ("token_probability", "token_probability")
    assert verdict.decision == "safe"


async def test_a_lower_threshold_asks_everything() -> None:
    _, engine = await judged(TableEmbedder(), ScriptedEngine(default=0.0), threshold=0.2)
    assert asked(engine) == ["knife", "food", "wine", "fire"] * 2


async def test_a_scan_that_fails_drops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    _, engine = await judged(TableEmbedder(EngineError("no memory")), ScriptedEngine(default=0.0))
    assert asked(engine) == ["knife", "food", "wine", "fire"] * 2
    assert "the relevance scan failed, so every rule is asked: no memory" in caplog.text


async def test_the_encoder_is_part_of_the_version() -> None:
    with_scan, _ = await judged(TableEmbedder(), ScriptedEngine(default=0.0))
    judge = Judge(ScriptedEngine(default=0.0), POLICY, JudgeConfig(), priors=PriorStore())
    (without,) = await judge.judge(media(1))
    assert with_scan.versions.cascade != without.versions.cascade


async def test_frames_without_any_rule_left_are_safe_without_a_question() -> None:
    verdict, engine = await judged(TableEmbedder(), ScriptedEngine(), threshold=0.9, always_ask=())
    assert (verdict.decision, asked(engine)) == ("safe", [])


@pytest.mark.parametrize("threshold", [0.22, 0.9])
async def test_a_scan_never_makes_media_outside_the_domain_safe(threshold: float) -> None:
    """Neither where it drops some rules, nor where it drops all and only the domain is left to ask about."""
    info = ModelInfo("pen", "digest", Domain("The picture is a drawing.", "drawings"))
    engine = ScriptedEngine({"drawing": 0.1}, default=0.0, info=info)
    verdict, _ = await judged(TableEmbedder(), engine, threshold=threshold, always_ask=())
    assert (verdict.decision, verdict.flagged) == ("uncertain", None)
    assert {rule.outcome for rule in verdict.rules} == {"abstained"}
    assert verdict.reason.startswith("outside the model's domain")
