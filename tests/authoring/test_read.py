"""What an author may start from, and what is said of anything else."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from pydantic import JsonValue

from judge.assets import constitution_names, constitution_path
from judge.authoring import DraftRule, read_plain_rules, read_rules
from judge.authoring.yaml_text import dump_yaml
from judge.constitution import InvalidConstitution, load_constitution

CASES = Path(__file__).parent.parent / "cases" / "constitutions"


@pytest.mark.parametrize("name", constitution_names())
def test_a_constitution_is_a_draft_and_comes_out_as_it_went_in(name: str) -> None:
    path = constitution_path(name)
    draft = read_rules(path.read_text(encoding="utf-8"), name)
    assert draft.to_constitution(name).digest == load_constitution(path).digest
    assert read_rules(draft.to_yaml("A head."), name) == draft


def test_lists_of_texts() -> None:
    expected = (DraftRule(id="rule_1", text="No knives: never."), DraftRule(id="rule_2", text="No dogs."))
    assert read_rules('- "No knives: never."\n- No\n  dogs.\n', "x").rules == expected
    assert read_plain_rules("# mine\n\n No knives: never. \nNo dogs.\r\n", "x").rules == expected
    many = read_plain_rules("x\n" * 12, "x").rules
    assert (many[0].id, many[-1].id) == ("rule_01", "rule_12")


def test_a_draft_may_lack_all_but_the_text_and_is_written_with_a_category() -> None:
    draft = read_rules("rules:\n  a:\n    text: No dogs.\n    violated_when:\n", "x")
    assert (draft.name, draft.version, draft.rules) == ("draft", "0", (DraftRule(id="a", text="No dogs."),))
    text = draft.to_yaml("One.\nTwo.")
    assert text.startswith("# One.\n# Two.\nschema_version: 1\nname: draft\nversion: '0'\ncategories:\n  unsorted:\n")
    again = read_rules(text, "x")
    assert again.rules == draft.rules
    assert again.to_yaml("One.\nTwo.") == text


def test_words_that_yaml_reads_otherwise_survive() -> None:
    texts = [
        "yes",
        "1.10",
        "# no comment",
        "a: b",
        "- x",
        "'\"",
        "é \u2028 x",
        "*",
        "2020-01-01",
        "{{ x }}",
        "null",
        "x" * 900,
    ]
    draft = read_plain_rules("yes", "x")
    rules = tuple(DraftRule(id=f"r{i}", text=text, source=text) for i, text in enumerate(texts))
    draft = draft.model_copy(update={"rules": rules})
    assert read_rules(draft.to_yaml(), "x").rules == rules


def test_several_lines_are_written_as_a_block_without_anchors() -> None:
    shared: list[JsonValue] = ["a"]
    text = dump_yaml({"prose": "One:\n   - two", "x": shared, "y": shared}, head="Head.\n\nMore.")
    assert text == "# Head.\n#\n# More.\nprose: |-\n  One:\n     - two\nx:\n- a\ny:\n- a\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- 5\n", "x:1: rule 1 is the number '5' (put it in quotes)"),
        ("- a: b\n- fine\n", "x:1: rule 1 is a map (put it in quotes)"),
        ("- fine\n- ''\n", "x:2: rule 'rule_2': 'text' is empty"),
        ("[]\n", "x:1: holds 0 rules"),
        ("just words\n", "holds no rules, but the text 'just words'"),
        ("name: x\n", "x:1: has no rules"),
        ("rules:\n", "has no rules"),
        ("rules: [a]\n", "x:1: 'rules' must be a map"),
        ("rules: {a: No dogs.}\n", "rule 'a': must be a map without 'id'"),
        ("rules: {a: {id: b, text: x}}\n", "rule 'a': must be a map without 'id'"),
        ("rules:\n  a: {statement: x}\n", "x:2: rule 'a': 'text' is missing"),
        ("rules:\n  a: {text: x, severety: low}\n", "rule 'a': unknown field 'severety' (did you mean 'severity'?)"),
        ("rules:\n  a: {text: x, category: y}\n", "rule 'a': unknown category 'y' (known: unsorted)"),
        ("rules:\n  a: {text: x, violated_when: a b}\n", "column 3: expected 'and', 'or' or the end"),
        ("rules:\n  a: {text: x, violated_when: ghost}\n", "unknown precondition 'ghost'"),
        ("rules:\n  a: {text: x}\n  a: {text: y}\n", "duplicate id, first on line 2"),
        ("nam: x\nrules: {a: {text: x}}\n", "unknown field 'nam'"),
        ("a: &b 1\n", "uses a YAML anchor"),
        ("a: !!python/object:os.system x\n", "uses the YAML tag"),
        ("", "the file is empty"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, words: str) -> None:
    with pytest.raises(InvalidConstitution) as caught:
        read_rules(text, "x")
    assert words in str(caught.value)


def test_a_text_file_without_rules() -> None:
    with pytest.raises(InvalidConstitution, match="holds 0 rules"):
        read_plain_rules("# nothing\n\n", "x")
    with pytest.raises(InvalidConstitution, match=r"x:3: rule 'rule_2': 'text' holds half of a surrogate pair"):
        read_plain_rules("fine\n\nbad \ud800\n", "x")


@pytest.mark.parametrize("path", sorted(CASES.glob("*.yaml")), ids=lambda path: path.stem)
def test_bad_constitutions_are_read_as_drafts_or_refused_never_a_crash(path: Path) -> None:
    text = path.read_bytes().decode("utf-8", errors="replace")
    with suppress(InvalidConstitution):
        assert all(rule.text for rule in read_rules(text, path.name).rules)
