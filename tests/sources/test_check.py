"""What a check of a data set counts and says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from judge.errors import ConfigError
from judge.sources.card import Card
from judge.sources.card_file import read_card
from judge.sources.check import check_card
from tests.sources.making import put
from tests.sources.test_card_file import CARD, write


@pytest.fixture
def card(tmp_path: Path) -> Card:
    more = """
doubts: {note: {refused: the rater refused}}
kinds: {columns: [kind]}
categories: {gun: [weapons]}
ignore: ["spare/*"]
"""
    return read_card(write(tmp_path, CARD + more))


def test_everything_that_is_wrong_is_counted_once(tmp_path: Path, card: Card) -> None:
    root = tmp_path / "root"
    put(root, *(f"{n}.png" for n in range(1, 7)), "spare/x.png", "clip.mp4")
    rows = [
        "file,bad,note,kind", "1.png,1,,gun", "2.png,0,,", "gone.png,1,,bow", "3.png,maybe,,", "4.png,1,refused,bow",
        "1.png,1,,gun", "too,few",
    ]  # fmt: skip
    (root / "a.csv").write_text("\n".join(rows) + "\n")
    report = check_card(card, root)
    (split,) = report.splits
    assert split.model_dump(exclude={"examples"}) == {
        "split": "a", "rows": 7, "harmful": 4, "unharmful": 1, "unlabelled": 2, "left_out": 0, "missing": 2,
        "unreadable": 1, "duplicates": 1, "doubtful": 1, "no_common_name": {"bow": 1}, "no_moments": 0,
            "broken_moments": 0,
    }  # fmt: skip
    assert split.examples == {
        "missing": ("gone.png: 'gone.png' does not exist below the root", "too: 2 cells under 4 columns"),
        "unreadable": ("3.png: the label cannot be read: bad is 'maybe'",),
        "doubtful": ("4.png: the rater refused",),
        "duplicates": ("1.png#5: '1.png' stands in an earlier row as well",),
    }
    assert (report.absent, report.strangers, report.stranger_examples) == (("b",), 2, ("5.png", "6.png"))
    assert report.wrong == (
        "a: 2 of 7 rows lead to no media",
        "a: 1 of 7 rows have a label that cannot be read",
        "a: 1 of 7 rows repeat an earlier row",
        "a: 1 of 7 rows have another problem",
        "2 media files belong to no row",
    )


def test_a_set_as_it_should_be(tmp_path: Path, card: Card) -> None:
    root = tmp_path / "root"
    put(root, "1.png", "2.png")
    for split, number in (("a", 1), ("b", 2)):
        (root / f"{split}.csv").write_text(f"file,bad\n{number}.png,1\n")
    report = check_card(card, root)
    assert ([each.split for each in report.splits], report.strangers, report.wrong) == (["a", "b"], 0, ())
    one = check_card(card, root, "b")
    assert ([each.split for each in one.splits], one.strangers, one.wrong) == (["b"], None, ())


def test_no_rows_and_no_labels_are_wrong(tmp_path: Path, card: Card) -> None:
    root = tmp_path / "root"
    put(root, "1.png")
    (root / "a.csv").write_text("file,bad\n1.png,?\n")
    (root / "b.csv").write_text("file,bad\n")
    assert check_card(card, root).wrong == (
        "a: 1 of 1 rows have a label that cannot be read", "a: no row has a label", "b: there are no rows",
    )  # fmt: skip


def test_checksums(tmp_path: Path, card: Card) -> None:
    root = tmp_path / "root"
    put(root, "1.png")
    (root / "a.csv").write_text("file,bad\n1.png,1\n")
    right = hashlib.sha256((root / "a.csv").read_bytes()).hexdigest()
    assert check_card(card.model_copy(update={"sha256": {"a.csv": right.upper()}}), root).wrong == ()
    wrong = check_card(card.model_copy(update={"sha256": {"a.csv": "0" * 64, "b.zip": right}}), root).wrong
    assert wrong == (
        f"'a.csv' is another version: its sha256 is {right}", "'b.zip' cannot be read: No such file or directory",
    )  # fmt: skip


def test_a_set_that_is_not_there(tmp_path: Path, card: Card) -> None:
    with pytest.raises(ConfigError, match="is no folder"):
        check_card(card, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"no file 'a\.csv'.*the folder is empty"):
        check_card(card, tmp_path / "empty")
