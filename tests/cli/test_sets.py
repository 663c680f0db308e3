"""`judge datasets` in the test's process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from judge.assets import card_names, sample_media_path
from judge.sources.card import Card
from judge.sources.card_file import find_card
from tests.cli.running import judge
from tests.sources.making import put


def test_list() -> None:
    done = judge("datasets", "list", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert tuple(each["name"] for each in json.loads(done.stdout)) == card_names()
    table = judge("datasets", "list").stdout
    assert all(name in table for name in card_names())


def test_show_says_what_the_card_says() -> None:
    shown = json.loads(judge("datasets", "show", "smid", "--json").stdout)
    assert Card.model_validate(shown) == find_card("smid")
    text = judge("datasets", "show", "smid").stdout
    assert "rule: threshold" in text
    assert "https://osf.io/2rqad/" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["show", "smd"], "unknown dataset card 'smd' (did you mean 'smid'?)"),
        (["show", "nowhere.yaml"], "dataset card 'nowhere.yaml' cannot be read"),
        (["check", "smid", "--root", "/nowhere"], "the root '/nowhere' of 'smid' is no folder"),
    ],
)
def test_wrong_usage_is_one_line(arguments: list[str], message: str) -> None:
    done = judge("datasets", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_check_of_what_is_as_it_should_be() -> None:
    root = sample_media_path("test-small")
    done = judge("datasets", "check", "stickers", "--root", str(root), "--json")
    report = json.loads(done.stdout)
    assert (done.returncode, report["wrong"], report["strangers"]) == (0, [], 0)
    (split,) = report["splits"]
    assert split["split"] == "test"
    assert split["harmful"] + split["unharmful"] == split["rows"] > 0


def test_check_says_what_is_wrong_and_exits_with_3(tmp_path: Path) -> None:
    put(tmp_path, "a.jpg", "[b].jpg")
    (tmp_path / "SMID_norms.csv").write_text("img_name,moral_mean\na,1\nc,5\nd,3\n")
    done = judge("datasets", "check", "smid", "--root", str(tmp_path))
    assert done.returncode == 3
    assert "all: missing: c: 'c' does not exist below the root" in done.stdout
    assert "wrong: 2 of 3 rows lead to no media" in done.stdout
    assert "media of no row: [b].jpg" in done.stdout
    assert "wrong: 1 media files belong to no row" in done.stdout


def test_help_has_examples() -> None:
    for command in ("list", "show", "check"):
        assert f"judge datasets {command}" in judge("datasets", command, "--help").stdout
