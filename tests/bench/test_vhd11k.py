"""VHD11K's tables, read from small files written to its schema with its traps in them, and written back."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.bench.vhd11k import (
    Annotation,
    MediaNames,
    Problem,
    base_name,
    encodable,
    format_row,
    parse_annotations,
    read_annotations,
    to_cells,
)
from judge.errors import ConfigError
from judge.stickers.splits import Item, write_split
from judge.types.annotation import annotation_columns

HERE = Path(__file__).parent / "vhd11k"
IMAGES = read_annotations(HERE / "harmful_image_10_ann.csv")
COLUMNS = annotation_columns("image", rounds=2, critic=True)


def written(*rows: Annotation, columns: list[str] = COLUMNS) -> bytes:
    return format_row(columns) + b"".join(format_row(to_cells(row, columns)) for row in rows)


def test_every_row_is_kept_and_only_a_clear_decision_makes_a_class() -> None:
    assert [(base_name(row.path), row.harmful, row.problem) for row in IMAGES.rows] == [
        ("Real_0001.jpg", True, ""),
        ("sdxl_harmful_0002.png", False, ""),
        ("café_0003.jpg", True, ""),
        ("Real_0004.jpg", True, "refused"),
        ("Real_0005.jpg", None, "error"),
        ("Real_0006.jpg", None, "undecided"),
        ("Real_0007.jpg", None, "unreadable"),
        ("Real_0008.jpg", False, ""),
        ("Real_0009.jpg", None, "unreadable"),
        ("Real_0010.jpg", None, "unreadable"),
        ("写真_0011.jpg", False, ""),
    ]
    assert IMAGES.counts == {
        "harmful": 3,
        "unharmful": 3,
        "refused": 1,
        "error": 1,
        "undecided": 1,
        "unreadable": 3,
    }


def test_commas_quotes_and_line_breaks_stay_in_their_cells() -> None:
    first = IMAGES.rows[0]
    assert first.harmful_type == "weapons, in a crowd"
    assert first.affirmative == ('1. A rifle, raised.\n2. "Hands up" is written on a sign.', "It is aimed, not worn.")
    assert first.negative == ("A museum.\r\nNothing moves.", "A label is visible.")
    assert [row.line for row in IMAGES.rows] == [*range(4, 15)]


def test_what_was_not_said_is_empty_however_it_is_spelled() -> None:
    assert IMAGES.rows[1].affirmative == IMAGES.rows[2].affirmative == ("", "")
    assert IMAGES.rows[5].harmful_type == ""
    assert IMAGES.rows[2].critic == ""


def test_a_line_in_another_encoding_does_not_spoil_the_others() -> None:
    assert IMAGES.rows[2].harmful_type == "gore à la carte"
    assert IMAGES.rows[10].path == "/data/images/写真_0011.jpg"


def test_rows_that_say_no_decision_say_what_they_say() -> None:
    assert [IMAGES.rows[place].said for place in (4, 5, 6, 8, 9)] == [
        "error",
        "none",
        "Judge reply not found.",
        "nothing harmful, yes",
        "3 cells under 7 columns",
    ]


def test_video_tables_have_their_own_column_and_a_critic() -> None:
    found = read_annotations(HERE / "harmful_video_2_ann.csv")
    assert [(row.path, row.harmful, row.problem) for row in found.rows] == [
        ("AniDiff_0001.mp4", True, "refused"),
        ("Real_0002.mp4", False, ""),
    ]
    assert found.rows[1].critic == "The judge's answer follows from the frames."


@pytest.mark.parametrize(
    ("said", "harmful"),
    [
        ("yes", True), ("YES", True), (" Yes.\n", True), ("'yes'", True), ("harmful", True),
        ("no", False), ("No.", False), ("unharmful", False),
        ("", None), ("y", None), ("1", None), ("yes, weapons", None), ("not harmful", None), ("yes no", None),
        ("nope", None), ("none", None), ("None", None), ("error", None), ("unsafe", None),
    ],
)  # fmt: skip
def test_spellings_of_a_decision(said: str, harmful: bool | None) -> None:
    table = parse_annotations(format_row(["imagePath", "decision"]) + format_row(["a.png", said]), "t")
    assert [row.harmful for row in table.rows] == [harmful]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no column 'imagePath' or 'videoPath'"),
        (b"imagePath;decision\na;yes\n", "no column 'imagePath' or 'videoPath'"),
        (b"imagePath,label\na,yes\n", "no column 'decision'"),
        (b"imagePath,videoPath,decision\n", "both 'imagePath' and 'videoPath'"),
        (b"imagePath,decision,decision\n", "the column 'decision' twice"),
        (b'imagePath,decision\na,yes\nb,"yes\nc,no\n', "breaks off at line 4"),
        (b'imagePath,decision\na,"yes" or no\n', "breaks off at line 2"),
        (b"imagePath,decision\na," + b"x" * 200_000, "field larger than field limit"),
    ],
)
def test_a_table_whose_rows_cannot_be_told_apart_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse_annotations(data, "t.csv")
    assert "t.csv" in caught.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.csv' cannot be read"):
        read_annotations(tmp_path / "gone.csv")


# --- writing ----------------------------------------------------------------------------------------------------

HOSTILE = st.text(st.characters(), max_size=20) | st.sampled_from(
    ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", '"', '""', "\r", "\r\n", "\n", "\0", "\ud800", "a\udcffb", ",",
     "none", "None", "error", "API refuse to answer", " yes ", "no", "\ufeff", "\x1a", "\u2028"]
)  # fmt: skip
DECIDED: st.SearchStrategy[tuple[bool | None, Problem]] = st.sampled_from(
    [
        (True, ""),
        (False, ""),
        (True, "refused"),
        (False, "refused"),
        (None, "refused"),
        (None, "error"),
        (None, "undecided"),
    ]
)


@st.composite
def annotations(draw: st.DrawFn) -> Annotation:
    harmful, problem = draw(DECIDED)
    said = st.lists(HOSTILE, max_size=2).map(tuple)
    return Annotation(draw(HOSTILE), harmful, draw(HOSTILE), draw(said), draw(said), draw(HOSTILE), problem=problem)


@given(st.lists(annotations(), min_size=1, max_size=5))
def test_what_is_written_reads_back_to_the_same_decisions(rows: list[Annotation]) -> None:
    found = parse_annotations(written(*rows), "t").rows
    assert [row.harmful for row in found] == [row.harmful for row in rows]
    assert [row.path for row in found] == [encodable(row.path) for row in rows]
    for row, back in zip(rows, found, strict=True):
        if row.problem:
            said = row.harmful_type.strip(" \t\r\n.\"'").lower()
            refuses = (
                row.problem == "undecided" and said == "api refuse to answer"
            )  # whatever else, its own words say so
            assert back.problem == ("refused" if refuses else row.problem)
        for said, read in ((row.affirmative, back.affirmative), (row.negative, back.negative)):
            kept = [encodable(text) for text in said if text.strip().lower() not in {"", "none"}]
            assert [text for text in read if text] == kept


def test_texts_are_data_and_are_not_altered() -> None:
    row = Annotation("=1+1.png", True, "=cmd|' /C calc'!A0", ("+1", "-1"), ("@x", "\0"))
    (cells,) = list(csv.reader(io.StringIO(written(row).decode(), newline="")))[1:]
    assert cells == ["=1+1.png", "yes", "=cmd|' /C calc'!A0", "+1", "-1", "@x", "\0", "None"]


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        (Annotation("a", True, "weapons", ("x",), ("y",)), ["a", "yes", "weapons", "x", "None", "y", "None", "None"]),
        (Annotation("a", None, problem="undecided"), ["a", "none", "none", *["None"] * 5]),
        (Annotation("a", None, problem="error"), ["a", "error", "error", *["None"] * 5]),
        (Annotation("a", True, problem="refused"), ["a", "yes", "API refuse to answer", *["None"] * 5]),
        (Annotation("a", None, problem="refused"), ["a", "none", "API refuse to answer", *["None"] * 5]),
    ],
)
def test_the_words_of_the_published_tables(row: Annotation, cells: list[str]) -> None:
    assert to_cells(row, COLUMNS) == cells


def test_the_sticker_splits_read_back(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), dtype=np.uint8)
    items = [Item("a", image, None, True, ("weapons.gun", "x"), "g"), Item("b", image, None, False, (), "g")]
    write_split(tmp_path, "test", iter(items))
    found = read_annotations(tmp_path / "harmful_image_test_ann.csv")
    assert list(found.columns) == annotation_columns()
    assert [(row.path, row.harmful, row.harmful_type, row.affirmative) for row in found.rows] == [
        ("test/a.png", True, "weapons.gun; x", ("", "")),
        ("test/b.png", False, "no rule is violated", ("", "")),
    ]


# --- names ------------------------------------------------------------------------------------------------------


def test_media_are_found_by_base_name_whoever_wrote_the_path() -> None:
    names = MediaNames([Path("x/Real_0001.jpg"), Path("x/sdxl_harmful_0002.png"), Path("x/cafe\u0301_0003.jpg")])
    found = [names.find(row.path) for row in IMAGES.rows[:4]]
    assert found == [Path("x/Real_0001.jpg"), Path("x/sdxl_harmful_0002.png"), Path("x/cafe\u0301_0003.jpg"), None]


def test_names_that_an_archive_shows_as_cp437_are_found(tmp_path: Path) -> None:
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("????????_0011.jpg", b"")
    raw = archive.read_bytes().replace(b"????????_0011.jpg", "写真_x".encode() + b"_0011.jpg")
    archive.write_bytes(raw)
    with zipfile.ZipFile(archive) as file:
        (shown,) = file.namelist()
    assert shown != "写真_x_0011.jpg"
    assert MediaNames([Path("x") / shown]).find("/data/写真_x_0011.jpg") == Path("x") / shown


def test_a_name_that_several_files_have_is_not_guessed() -> None:
    with pytest.raises(ConfigError, match=r"'a\.png' is the name of 2 files"):
        MediaNames([Path("x/a.png"), Path("y/a.png")]).find("z/a.png")
