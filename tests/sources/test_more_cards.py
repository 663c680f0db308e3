"""Cards of memes, of lists and of files without a table, as in `test_cards`; and that every card is tested."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from judge.assets import card_names
from judge.errors import ConfigError, quoted
from judge.media import FileMedia
from judge.sources.card_file import load_card
from judge.sources.check import check_card
from judge.sources.sample import Intervals, NoMedia, Sample
from tests.sources.making import put, samples, write_jsonl, write_table


def test_goat_bench_has_columns_by_task(tmp_path: Path) -> None:
    put(tmp_path, "misogyny/images/1.jpg", "test/sarcasm/2.jpg")
    write_jsonl(tmp_path / "misogyny/test.jsonl", [{"image": "1.jpg", "text": "a", "label": 1}])
    write_jsonl(tmp_path / "test/sarcasm/test.jsonl", [{"img": "2.jpg", "org_sent": "b", "label": "0"}, {"label": 1}])
    assert [(each.harmful, each.text, each.categories) for each in samples("goat-bench", tmp_path, "misogyny")] == [
        (True, "a", ("hate", "harassment"))
    ]
    assert [(each.harmful, each.text, each.problem) for each in samples("goat-bench", tmp_path, "sarcasm")] == [
        (False, "b", ""), (True, "", "it names no media: img and image are empty"),
    ]  # fmt: skip


def test_hateful_memes(tmp_path: Path) -> None:
    put(tmp_path, "img/01.png", "img/02.png")
    rows = [
        {"id": 1, "img": "img/01.png", "label": 1, "text": "x"}, {"id": 2, "img": "img/02.png", "text": "y"},
        {"id": 1, "img": "img/02.png", "label": 0, "text": "z"},
    ]  # fmt: skip
    write_jsonl(tmp_path / "test_seen.jsonl", rows)
    assert [
        (each.id, each.harmful, each.categories, each.text, each.problem)
        for each in samples("hateful-memes", tmp_path, "test_seen")
    ] == [
        ("1", True, ("hate",), "x", ""),
        ("2", None, (), "y", "the label cannot be read: label is empty"),
        ("1#2", False, (), "z", "'1' stands in an earlier row as well"),
    ]


def test_harmeme_labels_are_the_first_of_a_list(tmp_path: Path) -> None:
    put(tmp_path, "images/c1.png", "images/c2.png", "images/c3.png")
    labels: list[object] = [["very harmful", "individual"], ["not harmful"], 1]
    rows = [{"id": f"c{n}", "image": f"c{n}.png", "labels": said, "text": "t"} for n, said in enumerate(labels, 1)]
    write_jsonl(tmp_path / "val.jsonl", rows)
    assert [
        (each.id, each.harmful, each.labels, each.attributes, each.problem)
        for each in samples("harmeme", tmp_path, "val")
    ] == [
        ("c1", True, ("very harmful",), {"target": "individual"}, ""),
        ("c2", False, (), {}, ""),
        ("c3", None, (), {}, "the label cannot be read: labels.0 is empty"),
    ]


def test_mossbench_is_an_object_and_all_harmless(tmp_path: Path) -> None:
    put(tmp_path, "images/1.png", "images/1.webp")
    stimulus = {"over": "Exaggerated Risk", "human": 0, "child": 1, "syn": 1, "ocr": 0, "harm": [7]}
    row = {"image": "images/1.png", "question": "What game?", "metadata": stimulus}
    (tmp_path / "information.json").write_text(json.dumps({"1": row, "300": {**row, "image": "images/300.png"}}))
    first, second = samples("mossbench", tmp_path)
    assert first == Sample(
        id="1", locator=FileMedia(path=tmp_path / "images/1.png"), modality="image", harmful=False,
        text="What game?", origin="synthetic",
        attributes={"stimulus": "Exaggerated Risk", "child": "1", "human": "0", "synthetic": "1", "ocr": "0"},
    )  # fmt: skip
    assert (second.id, second.locator, second.problem) == (
        "300", NoMedia(), "'images/300.png' does not exist below the root",
    )  # fmt: skip


def test_hod_reads_boxes(tmp_path: Path) -> None:
    put(tmp_path / "dataset/all/jpg", *(f"{name}.jpg" for name in "abcde"))
    boxes = {
        "a": "4 0.5 0.5 0.1 0.1\n5 .5 .5 .2 .2\n4 0.1 0.1 0.1 0.1\n",
        "b": "",
        "c": "6 0.5 0.5 0.1 0.1\n",
        "d": "gun\n",
    }
    (tmp_path / "dataset/all/txt").mkdir()
    for name, text in boxes.items():
        (tmp_path / f"dataset/all/txt/{name}.txt").write_text(text)
    found = samples("hod", tmp_path)
    assert [(each.id[16:], each.harmful, each.labels, each.problem) for each in found] == [
        ("a.jpg", True, ("gun", "knife"), ""),
        ("b.jpg", False, (), ""),
        ("c.jpg", None, (), "boxes 'c.txt': '6 0.5 0.5 0.1 0.1' is no box of a known class"),
        ("d.jpg", None, (), "boxes 'd.txt': 'gun' is no box of a known class"),
        ("e.jpg", None, (), "boxes 'e.txt' cannot be read: No such file or directory"),
    ]
    assert found[0].categories == ("weapons",)


def test_safewatch_empty_is_safe_and_nothing_is_not(tmp_path: Path) -> None:
    put(tmp_path, *(f"v/{n}.mp4" for n in range(5)))
    labels: list[object] = [[1, 5], [], None, [0], "3"]
    rows = [{"video_path": f"/data/v/{n}.mp4", "labels": said} for n, said in enumerate(labels)]
    (tmp_path / "bench.json").write_text(json.dumps(rows))
    found = samples("safewatch", tmp_path)
    assert [(each.harmful, each.labels, each.problem) for each in found] == [
        (True, ("sexual content", "illegal activities"), ""),
        (False, (), ""),
        (None, (), "the label cannot be read: labels is empty"),
        (None, (), "the label cannot be read: labels is '0'"),
        (True, ("threats, violence and harm",), ""),
    ]
    assert {each.modality for each in found} == {"video"}


def test_xd_violence_has_its_labels_in_the_names(tmp_path: Path) -> None:
    names = [
        "A.Film.2001__#00-01_label_A",
        "B.Film__#1_label_B1-B2-0",
        "v=x__#1_label_G-0-0",
        "y_label_B9-0-0",
        "plain",
    ]
    put(tmp_path, *(f"videos/{name}.mp4" for name in names), "train/z_label_A.mp4")
    (tmp_path / "annotations.txt").write_text(f"{names[1]} 10 20 30 45\n\n{names[2]}.mp4 5 9\nnobody_label_G-0-0 1 2\n")
    found = samples("xd-violence", tmp_path, "test")
    assert [(each.id[7:], each.harmful, each.labels, each.intervals, each.problem) for each in found] == [
        (f"{names[0]}.mp4", False, (), frames(), ""),
        (f"{names[1]}.mp4", True, ("fighting", "shooting"), frames((10, 20), (30, 45)), ""),
        ("plain.mp4", None, (), None, "its name does not fit the card's pattern"),
        (f"{names[2]}.mp4", True, ("explosion",), frames((5, 9)), ""),
        (f"{names[3]}.mp4", None, (), frames(), "the label cannot be read: classes is 'B9'"),
    ]
    (tmp_path / "train/out_label_A.mp4").symlink_to("/dev/../etc/hostname")
    assert [
        (each.id, each.locator == NoMedia(), each.problem) for each in samples("xd-violence", tmp_path, "train")
    ] == [
        ("train/out_label_A.mp4", True, f"it is a link that leads out of '{tmp_path}'"),
        ("train/z_label_A.mp4", False, ""),
    ]


def test_xd_violence_tells_of_intervals_that_are_none(tmp_path: Path) -> None:
    lines = {
        "odd_label_B1-0-0": " 10 20 30", "empty_label_B1-0-0": "", "back_label_B1-0-0.mp4": " 20 10",
        "huge_label_B1-0-0": f" 1 {'9' * 5000}", "tabs_label_B1-0-0": "\t7\t9 \t 11  12 ",
        "nothing_label_B1-0-0": " 7 7", "order_label_B1-0-0": " 30 45 10 20",
    }  # fmt: skip
    put(tmp_path, *(f"{name.removesuffix('.mp4')}.mp4" for name in lines), "none_label_G-0-0.mp4")
    (tmp_path / "annotations.txt").write_text("".join(f"{name}{numbers}\n" for name, numbers in lines.items()))
    found = {each.id.partition("_")[0]: each.intervals for each in samples("xd-violence", tmp_path, "test")}
    assert found == {
        "odd": Intervals(unit="frames", problem="annotation.frames: 3 numbers, an odd one, are no pairs"),
        "empty": frames(),
        "back": Intervals(unit="frames", problem="annotation.frames: 20 to 10 ends before it begins"),
        "huge": Intervals(unit="frames", problem=f"annotation.frames: {quoted('9' * 5000)} is no number"),
        "tabs": frames((7, 9), (11, 12)),
        "nothing": Intervals(unit="frames", problem="annotation.frames: 7 to 7 ends before it begins"),
        "order": frames((10, 20), (30, 45)),
        "none": frames(),
    }
    (report,) = check_card(load_card("xd-violence"), tmp_path, "test").splits
    assert (report.harmful, report.no_moments, report.broken_moments) == (8, 2, 4)
    assert len(report.examples["broken_moments"]) == 4
    wrong = check_card(load_card("xd-violence"), tmp_path, "test").wrong
    assert "test: 4 of 8 rows have harmful moments that cannot be read" in wrong
    (tmp_path / "annotations.txt").write_text("odd_label_B1-0-0 10 -20\n")
    with pytest.raises(ConfigError, match="does not fit the card's pattern"):
        samples("xd-violence", tmp_path, "test")


def frames(*spans: tuple[int, int]) -> Intervals:
    return Intervals(unit="frames", harmful=spans)


def test_i2p_is_the_pictures_made_of_its_prompts(tmp_path: Path) -> None:
    put(tmp_path, "out/0_0.png", "out/0_1.png", "1/3.png", "007.png", "logo.png")
    write_table(
        tmp_path / "i2p_benchmark.csv", ["prompt", "categories", "hard"],
        ["a, b", "hate, self-harm", "0"], ["c\nd", "sexual", "1"],
    )  # fmt: skip
    assert [
        (each.id, each.harmful, each.categories, each.group, each.attributes, each.problem)
        for each in samples("i2p", tmp_path)
    ] == [
        ("007.png", None, (), "7", {}, ""),
        ("1/3.png", None, ("sexual",), "1", {"hard": "1"}, ""),
        ("logo.png", None, (), "", {}, "its name does not fit the card's pattern"),
        ("out/0_0.png", None, ("hate", "self-harm"), "0", {"hard": "0"}, ""),
        ("out/0_1.png", None, ("hate", "self-harm"), "0", {"hard": "0"}, ""),
    ]


def test_os_harm_is_read_as_the_last_screenshot_with_text(tmp_path: Path) -> None:
    put(tmp_path, "t1/step_2.png", "t1/step_10.png", "t1/step_9.png", "t1/traj.jsonl", "t2/notes.txt")
    row = {
        "trajectory": "t1",
        "safety": "unsafe",
        "success": True,
        "instruction": "Send it",
        "actions": ["click", "type"],
    }
    write_jsonl(tmp_path / "annotations.jsonl", [row, {**row, "trajectory": "t2"}, {**row, "trajectory": "../.."}])
    found = samples("os-harm", tmp_path)
    assert found[0] == Sample(
        id="t1", locator=FileMedia(path=tmp_path / "t1/step_10.png"), modality="image", harmful=True,
        text="Send it\nclick, type", attributes={"success": "true"},
    )  # fmt: skip
    assert [each.problem for each in found[1:]] == [
        "'t2' does not exist below the root", f"'../../*' lies outside '{tmp_path}'",
    ]  # fmt: skip


def test_every_card_is_tested() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*cards.py"))
    assert [name for name in card_names() if f'samples("{name}", tmp_path' not in tests] == []
