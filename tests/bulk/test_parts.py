"""Part files: whole or not there, exactly the rows of their name, read back as they were."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from judge.bulk.item import Item, copied_row, judged_row, unjudged_row
from judge.bulk.parts import FolderLock, Parts, Span, ids_digest
from judge.bulk.row import LabelRow
from judge.bulk.schema import label_schema
from judge.errors import ConfigError
from tests.bulk.making import failed_row, item, row, verdict


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    rows = [row(0), failed_row(1), row(2, 0.1), copied_row(unjudged_row(item(3, duplicate_of=0)), row(0))]
    parts.write(rows)
    read = Parts(tmp_path)
    assert list(read.all_rows()) == rows
    assert read.spans == [Span(0, 3)]
    assert read.row(2) == rows[2]
    assert read.row(4) is None
    assert rows[0].read_verdict() == verdict()
    assert read.ids_of(Span(0, 3)) == ids_digest(["0.png", "1.png", "2.png", "3.png"])


def test_the_schema_has_every_field_and_real_types(tmp_path: Path) -> None:
    path = Parts(tmp_path).write([row(0)])
    assert pq.read_schema(path).names == list(LabelRow.model_fields)
    assert pq.read_schema(path).types == label_schema().types


def test_a_row_of_a_verdict() -> None:
    found = judged_row(item(7), verdict())
    assert (found.index, found.id, found.decision, found.flagged, found.score) == (7, "7.png", "unsafe", True, 0.9)
    assert (found.violated, found.escalated, found.error_code) == (("violence.threat",), True, "")
    assert (found.prompt_tokens, found.completion_tokens, found.harmful, found.labels) == (11, 3, True, ("gun",))


def test_a_duplicate_costs_nothing_and_keeps_its_own_name() -> None:
    copy = copied_row(unjudged_row(item(5, duplicate_of=0)), row(0))
    assert (copy.index, copy.id, copy.duplicate_of) == (5, "5.png", 0)
    assert (copy.decision, copy.score, copy.prompt_tokens) == ("unsafe", 0.9, 0)
    assert copy.error_code == ""


def test_an_error_is_uncertain_with_its_reason() -> None:
    found = failed_row(1)
    assert (found.decision, found.flagged, found.score, found.error_code) == ("uncertain", None, None, "media")
    assert (found.reason, found.error_hint, found.failed) == ("'1.png' is empty", "fill it", True)


def test_a_verdict_that_says_the_engine_broke_is_an_error() -> None:
    broken = verdict().model_copy(update={"decision": "uncertain", "flagged": None, "reason": "the engine failed: oom"})
    assert judged_row(item(0), broken).failed


def test_names_that_are_no_text_can_be_written(tmp_path: Path) -> None:
    bad = item(0, "half \udcff a character")
    Parts(tmp_path).write([judged_row(bad, verdict())])
    (found,) = Parts(tmp_path).all_rows()
    assert found.id == "half ? a character"


def test_what_is_half_written_does_not_count_and_is_removed(tmp_path: Path) -> None:
    Parts(tmp_path).write([row(0)])
    half = tmp_path / ".rows-000000000001-000000000002.tmp"
    half.write_bytes(b"PAR1")
    parts = Parts(tmp_path)
    assert parts.spans == [Span(0, 0)]
    parts.clean()
    assert not half.exists()


def test_the_same_row_in_two_files_is_refused(tmp_path: Path) -> None:
    parts = Parts(tmp_path)
    path = parts.write([row(0), row(1)])
    path.with_name("rows-000000000001-000000000001.parquet").write_bytes(path.read_bytes())
    with pytest.raises(ConfigError, match="hold row 1"):
        _ = Parts(tmp_path).spans


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = Parts(tmp_path).write([row(0)])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ConfigError, match=r"rows-0+-0+\.parquet' cannot be read") as caught:
        list(Parts(tmp_path).all_rows())
    assert "judged again" in caught.value.hint


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(ConfigError, match="another `judge label`"):
        FolderLock(tmp_path)
    with FolderLock(tmp_path):
        pass


def test_items_wait_only_for_what_is_to_be_judged() -> None:
    assert isinstance(item(0), Item)
    assert item(0).waits
    assert not item(0, duplicate_of=1).waits
