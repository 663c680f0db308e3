"""The page about labelling names every column as the rows do."""

from __future__ import annotations

from pathlib import Path

from judge.bulk.exports.export import Export
from judge.bulk.row import LabelRow, RuleRow
from judge.cli.label import Duplicates

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "label.md").read_text(encoding="utf-8")


def test_every_column_is_explained_in_the_same_words() -> None:
    lines = {
        tuple(cell.strip() for cell in line.strip("|").split("|")) for line in PAGE.splitlines() if line[:1] == "|"
    }
    told = {cells[0].strip("`"): cells[-1] for cells in lines}
    wanted = {name: field.description for name, field in LabelRow.model_fields.items()}
    assert {name: told.get(name) for name in wanted if name not in RuleRow.model_fields} == {
        name: text for name, text in wanted.items() if name not in RuleRow.model_fields
    }
    for name, field in (*LabelRow.model_fields.items(), *RuleRow.model_fields.items()):
        assert f"| `{name}` |" in PAGE
        assert f"| {field.description} |" in PAGE


def test_every_export_and_kind_of_duplicate_is_named() -> None:
    for export in Export:
        assert f"--export {export.value}" in PAGE
    for kind in (Duplicates.none, Duplicates.near):
        assert f"--duplicates {kind.value}" in PAGE
