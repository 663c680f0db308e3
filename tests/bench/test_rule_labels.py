from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from judge.bench.rule_labels import RuleLabel, load_rule_labels
from judge.errors import ConfigError

RULES = ("violence.weapon_threat", "drugs.use", "minors.alcohol")


def write_table(folder: Path, rows: list[tuple[str, str, str]], columns: int = 3) -> None:
    folder.mkdir(exist_ok=True)
    with (folder / "harmful_image_test_ann.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows(row[:columns] for row in [("imagePath", "decision", "harmfulType"), *rows])


def test_the_column_names_rules_and_what_is_of_no_use_says_why(tmp_path: Path) -> None:
    rows = [
        ("a.png", "yes", "drugs.use; minors.alcohol; drugs.use"),
        ("b.png", "no", "no rule is violated"),
        ("c.png", "yes", "violence.weapon_treat"),
        ("d.png", "yes", ""),
        ("e.png", "unsure", "drugs.use"),
    ]
    write_table(tmp_path, rows)
    found = load_rule_labels(tmp_path, "test", RULES)
    assert found.items == (
        RuleLabel(tmp_path / "a.png", ("drugs.use", "minors.alcohol")),
        RuleLabel(tmp_path / "b.png", ()),
    )
    assert found.left_out == {
        str(tmp_path / "c.png"): "the constitution has no rule 'violence.weapon_treat' "
        "(did you mean 'violence.weapon_threat'?)",
        str(tmp_path / "d.png"): "it is harmful, but no violated rule is named",
        str(tmp_path / "e.png"): "its decision is 'unsure', neither yes nor no",
    }
    assert len(load_rule_labels(tmp_path, "test", RULES, count=1).items) == 1


def test_the_scenes_come_before_the_column(tmp_path: Path) -> None:
    write_table(tmp_path, [("p/a.png", "yes", "drugs.use"), ("b.png", "no", "x"), ("c.png", "yes", "minors.alcohol")])
    scenes = [
        {"id": "a", "violated": ["minors.alcohol"]},
        {"id": "b", "violated": ["drugs.use"]},
        {"id": "c", "violated": "drugs.use"},
    ]
    (tmp_path / "scenes_test.jsonl").write_text("\n".join(map(json.dumps, scenes)))
    found = load_rule_labels(tmp_path, "test", RULES)
    assert found.items == (RuleLabel(tmp_path / "p" / "a.png", ("minors.alcohol",)),)
    assert found.left_out == {
        str(tmp_path / "b.png"): "it is harmless, but violates a rule",
        str(tmp_path / "c.png"): "its violated rules are no list",
    }


def test_a_table_without_the_column_labels_only_the_harmless(tmp_path: Path) -> None:
    write_table(tmp_path, [("a.png", "yes", ""), ("b.png", "no", "")], columns=2)
    found = load_rule_labels(tmp_path, "test", RULES)
    assert [item.path.name for item in found.items] == ["b.png"]


@pytest.mark.parametrize("content", [b"[1]", b'{"name": "a"}', b"{", b"\xff\xfe"])
def test_scenes_that_cannot_be_read_are_an_error(tmp_path: Path, content: bytes) -> None:
    write_table(tmp_path, [("a.png", "yes", "drugs.use")])
    (tmp_path / "scenes_test.jsonl").write_bytes(content)
    with pytest.raises(ConfigError, match=r"scenes_test\.jsonl"):
        load_rule_labels(tmp_path, "test", RULES)
