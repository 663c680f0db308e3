"""Cards as files: errors name the file and the field, and a card may build on another."""

from __future__ import annotations

from pathlib import Path

import pytest

from judge.assets import card_names
from judge.errors import ConfigError
from judge.sources.card_file import load_card, read_card
from judge.sources.cards import open_card
from judge.sources.open import open_source
from tests.sources.making import below, put

CARD = """
name: mine
title: Mine
home: here
obtain: Ask me.
licence: none
citation: none
checked: yes it was
modality: image
splits: [a, b]
rows: {reader: table, files: ["{split}.csv"]}
media: {columns: [file]}
label: {rule: values, column: bad, harmful: ["1"], unharmful: ["0"]}
"""


def write(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_card_that_ships_says_how_to_get_it_and_what_was_checked() -> None:
    for name in card_names():
        card = load_card(name)
        assert card.name == name
        assert all((card.title, card.home, card.obtain, card.licence, card.citation, card.checked, card.traps))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("title: Mine", ""), "title: Field required"),
        (("title: Mine", "title: Mine\ncolour: red"), "colour: there is no such setting"),
        (("modality: image", "modality: smell"), "modality: "),
        (("rule: values", "rule: guess"), r"label: Input tag 'guess'"),
        (('harmful: ["1"]', "harmful: []"), "label.values.harmful: "),
        (("reader: table", "reader: magic"), "rows: Input tag 'magic'"),
        (('files: ["{split}.csv"]', "by_split: {a: [x.csv]}"), "split 'b' has no files"),
        (("splits: [a, b]", "splits: [a, b]\nunlabelled: [c]"), "'c' is none of the splits"),
        (("splits: [a, b]", "splits: [a, b]\nderived: {x: {column: y, pattern: '('}}"), "no regular expression"),
        (("name: mine", "name: thine"), "name: it is 'thine', and the file's name is 'mine'"),
        (("name: mine", "name: ../mine"), "name: String should match"),
        (("name: mine", "name: mine\nextends: stikers"), "extends: no card 'stikers' .did you mean 'stickers'"),
        (("name: mine", "name: mine\nextends: mine"), "extends: too many cards, or a circle"),
        (("title: Mine", "title: [unclosed"), "not valid YAML"),
    ],
)
def test_a_wrong_card_names_its_file_and_field(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    path = write(tmp_path, CARD.replace(*change))
    with pytest.raises(ConfigError, match=message) as caught:
        read_card(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "- a\n", "3", "a: &a [*a]\n"])
def test_what_is_no_card_at_all(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        read_card(write(tmp_path, text))


def test_a_card_that_extends_another_replaces_what_it_says_again(tmp_path: Path) -> None:
    write(tmp_path, CARD)
    child = write(tmp_path, "extends: mine\nname: child\nsplits: [c]\nmedia: {at: ['x/{cell}']}\n", "child")
    card = read_card(child)
    assert (card.splits, card.media.columns, card.media.at, card.title) == (("c",), ("file",), ("x/{cell}",), "Mine")


def test_a_card_of_ones_own_is_a_source(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png")
    (tmp_path / "a.csv").write_text("file,bad\n1.png,1\n2.png,0\n")
    stream = open_source(str(write(tmp_path, CARD)), root=tmp_path, split="a")
    assert (stream.name, stream.card, len(stream.digest)) == ("mine:a", "mine", 64)
    assert [(below(each, tmp_path), each.harmful) for each in stream] == [("1.png", True), ("2.png", False)]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (None, r"'mine' has several splits \(one of: a, b\)"),
        ("c", "'mine' has no split 'c'"),
        ("a", r"'.*a\.csv' has no column bad, which 'mine' needs; its columns: file, fill"),
        ("b", r"has no file 'b\.csv' for the split 'b' \(there are: a\.csv\)"),
    ],
)
def test_what_does_not_fit_the_card_is_refused_at_once(tmp_path: Path, split: str | None, message: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.csv").write_text("fill,file\n1,2\n")
    with pytest.raises(ConfigError, match=message):
        open_card(read_card(write(tmp_path, CARD)), root, split)


def test_the_root_must_be_there_and_is_not_left(tmp_path: Path) -> None:
    card = read_card(write(tmp_path, CARD))
    with pytest.raises(ConfigError, match=r"is no folder \(Ask me\.\)"):
        open_card(card, tmp_path / "nowhere", "a")
    root = tmp_path / "root"
    put(root, "in.png")
    put(tmp_path, "out.png")
    (root / "link.png").symlink_to(tmp_path / "out.png")
    (root / "a.csv").write_text("file,bad\n../out.png,1\nlink.png,1\nin.png,1\n./x/../in.png,1\n")
    (root / "b.csv").symlink_to(write(tmp_path, "file,bad\n", "b"))
    assert [(each.id, each.problem.partition("'")[2][-20:]) for each in open_card(card, root, "a")] == [
        ("../out.png", f"lies outside '{root}'"[-20:]),
        ("link.png", f"lies outside '{root}'"[-20:]),
        ("in.png", ""),
        ("in.png#3", "n an earlier row as well"[-20:]),
    ]
    with pytest.raises(ConfigError, match=r"has no file 'b\.csv'"):
        open_card(card, root, "b")
