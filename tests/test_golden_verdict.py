"""One whole verdict as JSON is pinned: what people store and parse. Update it with `UPDATE_GOLDEN=1 make test`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from judge.assets import constitution_path
from judge.config import JudgeConfig
from judge.constitution import load_constitution
from judge.engines.base import ModelInfo
from judge.engines.scripted import Answer, ScriptedEngine
from judge.pipeline import Judge
from judge.stages.prior_store import PriorStore
from judge.types import Domain, Frame, Media, Verdict

GOLDEN = Path(__file__).parent / "golden" / "verdict.json"
DOMAIN = Domain("The picture is made of stickers.", "sticker scenes")


async def test_a_verdict_reads_as_in_the_golden_file() -> None:
    """Violated by two preconditions, one exception that holds, one reading without label mass, the rest rejected."""
    engine = ScriptedEngine(
        {
            "A weapon is next to a person.": 0.99,
            "A weapon touches a person.": 0.97,
            "There is a bone.": Answer(0.6, mass=0.1),
            "There is blood.": 0.95,
            "There is a hospital.": 0.98,
            "A person is bleeding.": 0.96,
            "The picture is made of stickers.": 0.999,
        },
        text_only={"A person is bleeding.": 0.4},
        default=0.01,
        info=ModelInfo("pen", "digest-of-pen", DOMAIN, "scripted"),
    )
    judge = Judge(engine, load_constitution(constitution_path("stickers")), JudgeConfig(), priors=PriorStore())
    media = Media("0" * 64, "image", (Frame(0, 0.0, np.zeros((4, 4, 3), np.uint8)),), 0.0, "picture.png")
    verdict = (await judge.judge([media]))[0]
    fixed = verdict.model_copy(
        update={"timings_ms": {}, "versions": verdict.versions.model_copy(update={"package": "0"})}
    )
    text = fixed.model_dump_json(indent=1) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert json.loads(GOLDEN.read_text(encoding="utf-8")) == json.loads(text)
    assert Verdict.model_validate_json(GOLDEN.read_text(encoding="utf-8")) == fixed
    assert (fixed.decision, [r.rule_id for r in fixed.rules if r.outcome == "abstained"]) == ("unsafe", ["injury.gore"])
