"""`judge score` with a debate: the panel is started, the rules' examples are shown to the judge."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from judge.assets import sample_media_path
from judge.cli.app import app
from judge.cli.debate_examples import judged_examples
from judge.config import DebateSettings
from judge.constitution import load_constitution
from judge.errors import JudgeError

POLICY = """
schema_version: 1
name: small
version: "1"
categories: {harm: {title: Harm}}
preconditions: {knife: {statement: A knife is visible.}}
rules:
  threat:
    category: harm
    severity: high
    text: t
    statement: A threat.
    violated_when: knife
    examples:
      - {media: "sample:demo/harmless-1.png", violates: false, note: all calm}
      - {media: "sample:demo/harmful-violence-weapon_threat.png", violates: true}
"""
RULE = DebateSettings(enabled=True, subject="rule")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return path


def script(path: Path, said: str) -> Path:
    answers = {"You are the judge": 0.95, "Statement: A knife": 0.5}
    words = {"You are the judge": "Yes, harm.", "You are the": said}
    path.write_text(json.dumps({"answers": answers, "generations": words}))
    return path


def test_a_panel_plays_its_roles(tmp_path: Path, policy: Path) -> None:
    own, other = script(tmp_path / "own.json", "A blade."), script(tmp_path / "other.json", "A spoon.")
    config = tmp_path / "config.yaml"
    settings = {
        "engine": {"name": "scripted", "model": str(own)},
        "panel": {"second": {"name": "scripted", "model": str(other)}},
        "cascade": {"debate": {"enabled": True, "subject": "rule", "panel": {"negative": "second"}}},
        "thresholds": {"preset": "none"},
        "cache": False,
    }
    config.write_text(yaml.safe_dump(settings))
    image = str(sample_media_path("demo") / "harmless-2.png")
    arguments = ["score", image, "--constitution", str(policy), "--config", str(config), "--json"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)
    (debate,) = row["verdict"]["rules"][0]["evidence"][-1]["debates"]
    assert row["decision"] == "unsafe"
    assert [(turn["speaker"], turn["text"], turn["model"]) for turn in debate["turns"]] == [
        ("affirmative", "A blade.", ""),
        ("negative", "A spoon.", "scripted"),
        ("judge", "Yes, harm.", ""),
    ]


def test_examples_are_answers_as_the_judge_would_give_them(policy: Path) -> None:
    ((rule, examples),) = judged_examples(load_constitution(policy), policy.parent, RULE, 5).items()
    assert (rule, [each.answer for each in examples]) == ("threat", ["No, all calm.", "Yes, harm."])
    assert [len(each.frames) for each in examples] == [1, 1]


@pytest.mark.parametrize("settings", [DebateSettings(), DebateSettings(enabled=True), {"examples_for": "nobody"}])
def test_no_example_is_read_in_vain(policy: Path, settings: DebateSettings | dict[str, str]) -> None:
    chosen = settings if isinstance(settings, DebateSettings) else RULE.model_copy(update=settings)
    policy.write_text(POLICY.replace("harmless-1.png", "gone.png"))
    assert judged_examples(load_constitution(policy), policy.parent, chosen, 5) == {}


def test_an_example_that_cannot_be_read_is_named(policy: Path) -> None:
    policy.write_text(POLICY.replace("sample:demo/harmless-1.png", "gone.png"))
    with pytest.raises(JudgeError, match=r"gone\.png"):
        judged_examples(load_constitution(policy), policy.parent, RULE, 5)
