"""Exports: read back by what they are for, where that is installed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from xml.etree import ElementTree

import pyarrow.parquet as pq
import pytest

from judge.bulk.exports.export import Export, export_all
from judge.bulk.item import copied_row, judged_row, unjudged_row
from judge.bulk.parts import Parts
from judge.bulk.run_file import JobRecord, RunRecord
from judge.sources.open import open_source
from judge.types import Evidence, Region
from judge.types.debate import Debate, Turn
from tests.bulk.making import failed_row, item, row, verdict

RECORD = RunRecord(
    job=JobRecord(source="in", constitution="test@1", constitution_digest="c"), versions=verdict().versions
)


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    made = Parts(tmp_path / "rows")
    made.write([row(0), failed_row(1)])
    made.write([row(2, 0.1), copied_row(unjudged_row(item(3, 'b, "ö".png', duplicate_of=0)), row(0)), _debated()])
    return made


def _debated():  # type: ignore[no-untyped-def]
    turns = (
        Turn(speaker="affirmative", round=1, text="a gun,\nhere"), Turn(speaker="negative", round=1, text="a toy"),
        Turn(speaker="affirmative", round=2, text="no"),
    )  # fmt: skip
    debate = Debate(subject="s", order="affirmative_first", turns=turns, outcome="satisfied")
    evidence = Evidence(
        stage="debate", precondition_id="p", statement="s", outcome="satisfied", probability=0.9, debates=(debate,),
        regions=(Region(left=0.1, top=0.2, right=0.5, bottom=0.4, score=0.7),),
    )  # fmt: skip
    found = verdict()
    rule = found.rules[0].model_copy(update={"evidence": (evidence,)})
    return judged_row(item(4), found.model_copy(update={"rules": (rule,)}))


def test_json_lines_have_every_row_with_its_verdict(parts: Parts, tmp_path: Path) -> None:
    (path,) = export_all(parts, RECORD, tmp_path, [Export.jsonl])
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert [each["index"] for each in found] == [0, 1, 2, 3, 4]
    assert found[0]["verdict"]["decision"] == "unsafe"
    assert found[1]["verdict"] is None
    assert found[3]["duplicate_of"] == 0
    assert found[0]["locator"] == {"kind": "file", "path": "0.png"}


def test_one_parquet_file_is_the_parts(parts: Parts, tmp_path: Path) -> None:
    (path,) = export_all(parts, RECORD, tmp_path, [Export.parquet])
    assert pq.read_table(path).column("index").to_pylist() == [0, 1, 2, 3, 4]
    assert pq.read_table(path).column("category_scores").to_pylist()[0] == [("violence", 0.9)]


def test_the_vhd11k_table_is_read_by_the_set_s_own_card(parts: Parts, tmp_path: Path) -> None:
    (folder,) = export_all(parts, RECORD, tmp_path, [Export.vhd11k])
    with (folder / "harmful_image_ann.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(line["imagePath"], line["decision"]) for line in lines] == [
        ("0.png", "yes"), ("1.png", "error"), ("2.png", "no"), ('b, "ö".png', "yes"), ("4.png", "yes"),
    ]  # fmt: skip
    assert [lines[4][f"{side}Debater_argument_{n}"] for side in ("affirmative", "negative") for n in (0, 1)] == [
        "a gun,\nhere", "no", "a toy", "none",
    ]  # fmt: skip
    (folder / "harmful_image_ann.csv").rename(tmp_path / "harmful_image_10000_ann.csv")
    samples = list(open_source("vhd11k-images", root=tmp_path))
    assert [sample.harmful for sample in samples] == [True, None, False, True, True]
    assert samples[0].labels == ("violence.threat",)


def test_label_studio_gets_tasks_with_predictions(parts: Parts, tmp_path: Path) -> None:
    (folder,) = export_all(parts, RECORD, tmp_path, [Export.label_studio])
    tasks = json.loads((folder / "tasks.json").read_text(encoding="utf-8"))
    assert tasks[0]["data"] == {
        "image": "/data/local-files/?d=0.png", "id": "0.png", "index": 0, "reason": "", "decision": "unsafe",
    }  # fmt: skip
    assert tasks[1]["predictions"] == []
    (prediction,) = tasks[4]["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("m/w", 0.9)
    config = ElementTree.fromstring((folder / "config.xml").read_text(encoding="utf-8"))
    names = {element.get("name"): element for element in config if element.get("name") != "media"}
    for result in prediction["result"]:
        allowed = {option.get("value") for option in names[result["from_name"]]}
        assert set(result["value"].get("choices") or result["value"]["rectanglelabels"]) <= allowed
        assert result["to_name"] == "media"
    box = prediction["result"][-1]["value"]
    assert [round(box[side], 6) for side in ("x", "y", "width", "height")] == [10, 20, 40, 20]


def test_hugging_face_reads_its_data_set(parts: Parts, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    (folder,) = export_all(parts, RECORD, tmp_path, [Export.hf])
    found = datasets.load_from_disk(str(folder))
    assert found["index"][:] == [0, 1, 2, 3, 4]
    assert found[0]["category_scores"] == [{"category": "violence", "score": 0.9}]
    assert found[1]["flagged"] is None
    assert found[2]["rules"][0]["outcome"] == "not_violated"


def test_croissant_describes_the_file_beside_it(parts: Parts, tmp_path: Path) -> None:
    labels, path = export_all(parts, RECORD, tmp_path, [Export.croissant])
    found = json.loads(path.read_text(encoding="utf-8"))
    (file,) = found["distribution"]
    (records,) = found["recordSet"]
    columns = pq.read_schema(labels).names
    assert file["contentSize"] == f"{labels.stat().st_size} B"
    assert {field["source"]["extract"]["column"] for field in records["field"]} == set(columns) - {
        "category_scores", "rules",
    }  # fmt: skip
    assert all(field["description"] for field in records["field"])
    kinds = {field["name"]: field["dataType"] for field in records["field"]}
    assert (kinds["index"], kinds["flagged"], kinds["score"], kinds["id"]) == (
        "sc:Integer", "sc:Boolean", "sc:Float", "sc:Text",
    )  # fmt: skip


def test_exports_are_replaced_as_a_whole(parts: Parts, tmp_path: Path) -> None:
    for _ in range(2):
        export_all(parts, RECORD, tmp_path, [Export.vhd11k, Export.jsonl])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.jsonl", "rows", "vhd11k"]
