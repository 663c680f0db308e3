from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from judge import assets
from judge.canary import find_record, load_record
from judge.errors import ConfigError
from tests.canary.making import recorded


def write(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "record.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def fields(**changes: Any) -> dict[str, Any]:
    content: dict[str, Any] = recorded().model_dump(mode="json")
    return content | changes


def test_a_record_survives_its_file(tmp_path: Path) -> None:
    record = recorded()
    assert load_record(write(tmp_path, record.model_dump_json())) == record
    sparse = {name: value for name, value in fields().items() if name not in ("tolerance", "schema_version")}
    assert load_record(write(tmp_path, sparse)) == record


SCORE = fields()["scores"][0]
HOSTILE: list[tuple[object, str]] = [
    ("", "file: Invalid JSON"),
    ("not json", "file: Invalid JSON"),
    ("[" * 100_000, "file: Invalid JSON"),
    ([], "file: Input should be an object"),
    ({}, "model: Field required"),
    (fields(schema_version=2), "schema_version: Input should be 1"),
    (fields(scores="many"), "scores: Input should be a valid array"),
    (fields(scores=[]), "scores: Tuple should have at least 1 item"),
    (fields(scores=[SCORE | {"p_yes": 1.1}]), "scores.0.p_yes: Input should be less than or equal to 1"),
    (fields(scores=[SCORE | {"p_yes": -0.1}]), "scores.0.p_yes: Input should be greater than or equal to 0"),
    (fields(scores=[SCORE | {"p_yes": None}]), "scores.0.p_yes: Input should be a valid number"),
    (fields(scores=[SCORE | {"p_yes": float("nan")}]), "scores.0.p_yes: Input should be"),
    (fields(scores=[SCORE | {"mass": 0.0}]), "scores.0.mass: Input should be greater than 0"),
    (fields(scores=[SCORE | {"mass": float("inf")}]), "scores.0.mass: Input should be"),
    (fields(scores=[SCORE, SCORE]), "file: Value error, a question is there twice"),
    (fields(scores=[SCORE | {"extra": 1}]), "scores.0.extra: Extra inputs are not permitted"),
    (fields(pictures=["a"]), "pictures: Input should be a"),
    (fields(tolerance={"float32": 0.0}), "tolerance.float32: Input should be greater than 0"),
    (fields(tolerance={"log_odds": float("inf")}), "tolerance.log_odds: Input should be a finite number"),
    (fields(tolerance={"mass": "wide"}), "tolerance.mass: Input should be a valid number"),
    (fields(model_digest=7), "model_digest: Input should be a valid string"),
]


@pytest.mark.parametrize(("content", "words"), HOSTILE, ids=[words for _, words in HOSTILE])
def test_a_file_that_is_no_record_names_itself_and_the_field(tmp_path: Path, content: object, words: str) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ConfigError) as caught:
        load_record(path)
    assert caught.value.message.startswith(f"canary record '{path}' is no record: {words}")
    assert "judge canary record" in caught.value.hint


def test_bytes_that_are_no_text_are_no_record(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    path.write_bytes(b"\xff\xfe\x00" * 10)
    with pytest.raises(ConfigError, match="is no record"):
        load_record(path)


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: None], ids=["folder", "missing"])
def test_a_file_that_cannot_be_read_is_a_config_error(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "record.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_record(tmp_path / "record.json")


def test_records_are_found_by_the_models_name_and_by_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    record = recorded()
    for name in ("records/pen", "records/owner--pen", "outside"):
        (tmp_path / f"{name}.json").write_text(record.model_dump_json())
    monkeypatch.setattr(assets, "_CANARIES", folder)
    assert find_record("pen") == find_record("owner/pen") == record
    for name in ("../outside", str(tmp_path / "outside"), "", ".", "pen.json", "p*n", "pencil"):
        assert find_record(name) is None


def test_the_callers_record_comes_first(tmp_path: Path) -> None:
    mine = recorded().model_copy(update={"model": "mine"})
    assert find_record("stickers-vlm", write(tmp_path, mine.model_dump_json())) == mine
