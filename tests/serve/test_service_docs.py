"""docs/service.md names what there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import get_args

from prometheus_client.parser import text_string_to_metric_families

import judge.client
from serve.abstentions import Reason
from serve.metrics import Metrics

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "service.md").read_text(encoding="utf-8")


def test_every_metric_is_in_the_table_and_no_other() -> None:
    families = text_string_to_metric_families(Metrics("g").render().decode())
    known = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    told = set(re.findall(r"^\| `(visual_judge_\w+)`", TEXT, flags=re.MULTILINE))
    assert told == {name for name in known if name.startswith("visual_judge_")}


def test_every_reason_is_told() -> None:
    (row,) = [line for line in TEXT.splitlines() if "visual_judge_abstentions_total" in line]
    assert set(re.findall(r"`(\w+)`", row)) - {"visual_judge_abstentions_total"} == set(get_args(Reason))


def test_python_examples_parse_and_import_what_there_is() -> None:
    blocks = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module == "judge.client":
                assert all(hasattr(judge.client, each.name) for each in node.names)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "client":
                assert hasattr(judge.client.JudgeClient, node.attr) or "OpenAI" in block
