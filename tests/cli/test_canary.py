"""`judge canary` and the canary of `judge score`, as a person runs them. The scripted engine keeps most of it fast."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from judge.assets import sample_media_path
from judge.canary import CanaryReport, load_record
from judge.types import ScoreRow
from tests.cli.running import judge
from tests.engines.openai_server import one_token, serve_chat

HARMLESS = str(sample_media_path("demo/harmless-1.png"))
CAT = "There is a cat."


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.json"
    path.write_text(json.dumps({"answers": {CAT: 0.9}, "default": 0.1}))
    return path


@pytest.fixture
def recorded(script: Path, tmp_path: Path) -> Path:
    out = tmp_path / "records" / "scripted.json"
    done = judge("canary", "record", "--engine", "scripted", "--model", str(script), "--out", str(out))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert f"{out}: 12 scores of model 'scripted' on scripted" in done.stderr
    return out


def change(record: Path, statement: str, p_yes: float) -> None:
    content = json.loads(record.read_text())
    for score in content["scores"]:
        if score["statement"] == statement:
            score["p_yes"] = p_yes
    record.write_text(json.dumps(content))


def test_a_record_goes_to_standard_output_and_nothing_else_does(script: Path, recorded: Path) -> None:
    done = judge("canary", "record", "--engine", "scripted", "--model", str(script))
    assert (done.returncode, done.stdout, done.stderr) == (0, recorded.read_text(), "")


def test_check_exits_with_0_10_or_2(script: Path, recorded: Path) -> None:
    command = ("canary", "check", "--engine", "scripted", "--model", str(script), "--json")
    same = judge(*command, "--record", str(recorded))
    assert (same.returncode, CanaryReport.model_validate_json(same.stdout).status) == (0, "ok"), same.stderr
    change(recorded, CAT, 0.5)
    drift = judge(*command, "--record", str(recorded))
    report = CanaryReport.model_validate_json(drift.stdout)
    assert (drift.returncode, report.status) == (10, "drift")
    assert [(each.statement, each.recorded_p_yes, each.found_p_yes) for each in report.comparisons if each.drifted] == [
        (CAT, 0.5, 0.9)
    ]
    missing = judge(*command)
    assert (missing.returncode, CanaryReport.model_validate_json(missing.stdout).status) == (2, "no_record")
    script.write_text(json.dumps({"answers": {CAT: 0.9}, "default": 0.2}))
    stale = judge(*command, "--record", str(recorded))
    assert (stale.returncode, CanaryReport.model_validate_json(stale.stdout).status) == (2, "stale")


def test_check_prints_a_table_for_people(script: Path, recorded: Path) -> None:
    change(recorded, CAT, 0.5)
    done = judge("canary", "check", "--engine", "scripted", "--model", str(script), "--record", str(recorded))
    assert done.returncode == 10
    (line,) = [line for line in done.stdout.splitlines() if CAT in line and "│" in line]
    assert [cell.strip() for cell in line.strip("│").split("│")] == [
        "knife-at-cat", CAT, "0.5000", "0.9000", "2.2", "1.0000", "1.0000", "drifted",
    ]  # fmt: skip
    assert "1 of 12 golden answers are off" in " ".join(done.stdout.split())


def configured(tmp_path: Path, script: Path, record: Path, canary: str) -> str:
    path = tmp_path / "judge.yaml"
    engine = {"name": "scripted", "model": str(script), "canary": canary, "canary_file": str(record)}
    path.write_text(yaml.safe_dump({"engine": engine, "cache": False}))
    return str(path)


def test_check_takes_engine_and_record_from_a_configuration(script: Path, recorded: Path, tmp_path: Path) -> None:
    done = judge("canary", "check", "--config", configured(tmp_path, script, recorded, "off"), "--json")
    assert (done.returncode, CanaryReport.model_validate_json(done.stdout).status) == (0, "ok"), done.stderr


@pytest.mark.parametrize("canary", ["warn", "strict", "off"])
def test_score_warns_refuses_or_does_not_look(canary: str, script: Path, recorded: Path, tmp_path: Path) -> None:
    change(recorded, CAT, 0.5)
    done = judge("score", HARMLESS, "--jsonl", "--config", configured(tmp_path, script, recorded, canary))
    message = " ".join(done.stderr.split())
    if canary == "strict":
        assert (done.returncode, done.stdout) == (2, "")
        assert message.startswith("judge: canary: model 'scripted' on scripted no longer scores as recorded")
        assert message.endswith("(use the recorded build, or if this one is meant, measure and record it again)")
        return
    assert done.returncode == 0, done.stderr
    row = ScoreRow.model_validate_json(done.stdout)
    assert row.verdict is not None
    told = [notice for notice in row.verdict.notices if notice.startswith("canary: ")]
    assert len(told) == (1 if canary == "warn" else 0)
    assert ("warning: canary: model 'scripted'" in message) is (canary == "warn")


def test_a_strict_score_without_a_record_says_how_to_make_one(script: Path, tmp_path: Path) -> None:
    path = tmp_path / "judge.yaml"
    path.write_text(yaml.safe_dump({"engine": {"name": "scripted", "model": str(script), "canary": "strict"}}))
    done = judge("score", HARMLESS, "--config", str(path))
    assert done.returncode == 2
    assert "no record of model 'scripted' (record one with `judge canary record --out FILE`" in done.stderr


def test_a_server_is_asked_golden_questions_only_where_a_record_is_named(tmp_path: Path) -> None:
    config, record = tmp_path / "judge.yaml", tmp_path / "m.json"
    with serve_chat(lambda request: one_token([("No", 0.9), ("Yes", 0.09)])) as server:
        engine = {"name": "openai", "model": "m", "openai": {"base_url": server.base_url}}
        config.write_text(yaml.safe_dump({"engine": engine, "cache": False}))
        assert judge("score", HARMLESS, "--config", str(config), "--preset", "none").returncode == 0
        without = len(server.requests)
        assert judge("canary", "record", "--config", str(config), "--out", str(record)).returncode == 0
        assert len(server.requests) == without + 1 + 12  # a probe when the engine is built
        before = len(server.requests)
        config.write_text(yaml.safe_dump({"engine": {**engine, "canary_file": str(record)}, "cache": False}))
        done = judge("score", HARMLESS, "--config", str(config), "--preset", "none", "--jsonl")
        assert done.returncode == 0, done.stderr
        assert len(server.requests) - before == without + 12
    assert "canary: " not in done.stderr + done.stdout
    assert load_record(record).runtime == "openai/logprobs-20"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "--record", "no/such.json"], "canary record 'no/such.json' cannot be read"),
        (["check", "--engine", "opena"], "did you mean 'openai'"),
        (["record", "--config", "no/such.yaml"], "config 'no/such.yaml' cannot be read"),
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], words: str, script: Path) -> None:
    engine = [] if "--engine" in arguments else ["--engine", "scripted", "--model", str(script)]
    done = judge("canary", *arguments, *engine)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_record_that_cannot_be_written_is_one_clear_line(script: Path, tmp_path: Path) -> None:
    done = judge("canary", "record", "--engine", "scripted", "--model", str(script), "--out", str(tmp_path))
    assert done.returncode == 2
    assert f"'{tmp_path}' cannot be written" in done.stderr


def test_help_shows_examples_and_exit_codes() -> None:
    assert "judge canary record --model" in judge("canary", "record", "--help").stdout
    text = judge("canary", "check", "--help").stdout
    assert "judge canary check --engine vllm" in text
    assert "Exit codes: 0 as recorded; 10 the scores drifted" in text


@pytest.mark.slow
def test_the_embedded_model_is_as_recorded() -> None:
    done = judge("canary", "check", "--device", "cpu", "--dtype", "float32", "--json")
    assert (done.returncode, CanaryReport.model_validate_json(done.stdout).status) == (0, "ok"), done.stderr
