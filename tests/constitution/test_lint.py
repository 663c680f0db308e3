"""`judge constitution lint`: what it finds, what it leaves alone, and how a finding is accepted."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judge.constitution import Expression, canonical, is_contradiction, is_tautology, parse_constitution
from judge.constitution.lint import KINDS, lint_file, lint_text
from judge.constitution.overlap import overlaps
from tests.constitution.making import policy
from tests.constitution.trees import LETTERS, expressions, holds, worlds

KNIFE = "A knife is visible."


def kinds(text: str) -> list[tuple[str, str, str]]:
    """(severity, kind, where) of all findings but the one about missing examples."""
    found = lint_text(text, "p.yaml").findings
    return [(each.severity, each.kind, each.where) for each in found if each.kind != "no-examples"]


def wording(statement: str) -> list[tuple[str, str]]:
    return [(severity, kind) for severity, kind, _ in kinds(policy({"a": statement}, {"r": "a"}))]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("An offensive picture is on the wall.", [("warning", "subjective")]),
        ("A person wears a SEXY costume.", [("warning", "subjective")]),
        ('The word "offensive" is written on a wall.', []),
        ("Two 'sexy' stickers are on the dog's collar.", []),
        ("A person intends to sell a knife.", [("warning", "unseen")]),
        ("A person touches another person without permission.", [("warning", "negative"), ("warning", "unseen")]),
        ("An illegally parked car is visible.", [("warning", "unseen")]),
        ("Many people carry a large knife.", [("note", "unmeasured")]),
        ("At least 5 people carry a knife longer than a forearm.", []),
        ("Blood covers a person and nobody helps.", [("warning", "negative"), ("warning", "compound")]),
        ("A person holds a knife, while others watch.", [("warning", "compound")]),
        ("A person holds a knife unless it is a toy.", [("warning", "compound")]),
        ("A knife and a person are visible.", [("warning", "compound")]),
        ("There is a knife and a gun.", [("warning", "compound")]),
        ("A knife is visible or a gun is on the table.", [("note", "compound")]),
        ("A knife, a sword or an axe is visible.", []),
        ("A person stands or sits on a roof edge.", []),
        ("A person takes a coin out of a bag or a pocket that another person is wearing.", []),
        ("A person lies with closed eyes and a limp body.", []),
        ("a knife is visible.", [("warning", "sentence")]),
        ("A knife is visible", [("warning", "sentence")]),
        ("Is a knife visible?", [("warning", "sentence")]),
        ("Knife.", [("warning", "sentence")]),
        ("A knife on the table.", [("warning", "sentence")]),
        ("A knife is visible. A gun is visible.", [("warning", "sentence")]),
        ("A person vaporises a knife.", []),
        (f"A knife lies {'near ' * 23}it.", [("warning", "long"), ("note", "unmeasured")]),
        ("A " + "red " * 22 + "knife is.", []),
    ],
)
def test_wording(statement: str, expected: list[tuple[str, str]]) -> None:
    assert wording(statement) == expected


def test_a_rule_may_join_facts_but_not_judge() -> None:
    joined = {"violated_when": "a", "statement": "A knife is visible and a person bleeds, unless a doctor helps"}
    judged = {"violated_when": "a", "statement": "A disturbing, illegal knife is visible."}
    assert kinds(policy({"a": KNIFE}, {"r": joined})) == []
    assert kinds(policy({"a": KNIFE}, {"r": judged})) == [
        ("warning", "subjective", "rule 'r'"),
        ("warning", "unseen", "rule 'r'"),
    ]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ("There is a knife.", [("warning", "duplicate")]),
        ("Knives' handles are visible.", []),
        ("No knife is visible.", [("warning", "negative"), ("warning", "opposite")]),
        ("A knight is visible.", []),
    ],
)
def test_nearly_equal_statements(second: str, expected: list[tuple[str, str]]) -> None:
    found = kinds(policy({"a": KNIFE, "b": second}, {"r": "a and b"}))
    assert found == [(severity, kind, "precondition 'b'") for severity, kind in expected]


def test_the_same_words_in_another_order_may_mean_something_else() -> None:
    statements = {"a": "A dog bites a person.", "b": "A person bites a dog."}
    assert kinds(policy(statements, {"r": "a and b"})) == [("note", "duplicate", "precondition 'b'")]


def test_one_letter_in_a_long_statement_is_noted() -> None:
    statements = {"a": "A soldier aims a rifle at a line of kneeling prisoners.",
                  "b": "A soldier aims a rifle at a line of kneeling prisonner."}  # fmt: skip
    assert kinds(policy(statements, {"r": "a and b"})) == [("note", "duplicate", "precondition 'b'")]


ABC = {"a": KNIFE, "b": "A person is bleeding.", "c": "A dog stands on a table."}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"r": "a and b", "s": "b and a"}, [("warning", "overlap", "rule 's'")]),
        ({"r": "a and b", "s": "a"}, [("warning", "overlap", "rule 'r'")]),
        ({"r": "a", "s": "b"}, []),
        ({"r": "a and b", "s": "a and c"}, []),
        ({"r": "not a"}, [("warning", "empty-scene", "rule 'r'")]),
        ({"r": "a and not b", "s": "b and not a"}, []),
        (
            {"r": "not a", "s": "a or b"},
            [("warning", "empty-scene", "rule 'r'"), ("warning", "contradiction", "rule 'r'")],
        ),
        (
            {"r": {"violated_when": "a and b", "severity": "critical"}, "s": "a"},
            [("note", "overlap", "rule 'r'")],
        ),
        ({"r": {"violated_when": "a and b", "category": "other"}, "s": "a"}, [("note", "overlap", "rule 'r'")]),
        ({"r": "a and b", "s": {"violated_when": "a", "modalities": ["video"]}}, []),
        ({"r": {"violated_when": "a and b", "modalities": ["video"]}, "s": "a"}, [("warning", "overlap", "rule 'r'")]),
        ({"r": "a and (b or c)", "s": "a and b", "t": "a and c"},
         [("note", "overlap", "rule 'r'"), ("warning", "overlap", "rule 's'"), ("warning", "overlap", "rule 't'")]),
    ],
)  # fmt: skip
def test_rules_that_overlap(rules: dict[str, str], expected: list[tuple[str, str, str]]) -> None:
    used = {name: text for name, text in ABC.items() if any(name in str(rule) for rule in map(_when, rules.values()))}
    assert sorted(kinds(policy(used, rules))) == sorted(expected)


def _when(rule: object) -> str:
    return str(rule["violated_when"] if isinstance(rule, dict) else rule)


@given(st.lists(expressions, min_size=2, max_size=4))
def test_overlap_is_found_exactly_where_a_truth_table_shows_it(trees: list[Expression]) -> None:
    kept = [tree for tree in trees if not is_tautology(tree) and not is_contradiction(tree)]
    letters = {name.replace(".", ""): name for name in LETTERS}
    statements = {name: f"A {letter} is visible." for letter, name in letters.items()}
    # A last rule uses every name, so that none is idle; it is never included: nothing else needs all five.
    every = " and ".join(LETTERS)
    text = policy(statements, {**{f"r{n}": canonical(tree) for n, tree in enumerate(kept)}, "every": every})
    found = list(overlaps(parse_constitution(text, source="made")))
    tables = [{n for n, world in enumerate(worlds({})) if holds(tree, world)} for tree in kept]
    needless = {
        f"rule 'r{a if tables[a] < tables[b] or (tables[a] == tables[b] and a > b) else b}'"
        for a, b in combinations(range(len(kept)), 2)
        if (tables[a] <= tables[b] or tables[b] <= tables[a])
    }
    needless |= {f"rule 'r{max(a, b)}'" for a, b in combinations(range(len(kept)), 2) if tables[a] == tables[b]}
    warned = {each.where for each in found if each.kind == "overlap" and each.severity == "warning"}
    assert warned - {"rule 'every'"} == needless
    empty = {f"rule 'r{n}'" for n, tree in enumerate(kept) if holds(tree, dict.fromkeys(LETTERS, False))}
    assert {each.where for each in found if each.kind == "empty-scene"} == empty


def test_a_comment_accepts_one_kind_on_its_line_or_its_entry() -> None:
    text = policy({"a": "A disturbing large knife is visible."}, {"r": "a"})
    assert kinds(text) == [("warning", "subjective", "precondition 'a'"), ("note", "unmeasured", "precondition 'a'")]
    for line in ("  a:", "    statement: A disturbing large knife is visible."):
        report = lint_text(text.replace(line, f"{line}  # lint: allow subjective"), "p.yaml")
        assert [each.kind for each in report.accepted] == ["subjective"]
        assert [each.kind for each in report.findings] == ["unmeasured", "no-examples"]
    both = lint_text(text.replace("  a:", "  a:  # lint: allow subjective, unmeasured"), "p.yaml")
    assert [each.kind for each in both.accepted] == ["subjective", "unmeasured"]


def test_comments_that_accept_nothing_are_found_out() -> None:
    text = policy({"a": KNIFE}, {"r": "a"})
    idle = text.replace("  a:", "  a:  # lint: allow subjective")
    wrong = text.replace("  a:", "  a:  # lint: allow subjectve")
    assert kinds(idle) == [("note", "allow", "")]
    assert kinds(wrong) == [("warning", "allow", "")]
    assert "did you mean 'subjective'?" in [each.fix for each in lint_text(wrong, "p.yaml").findings]


def test_an_error_cannot_be_accepted_and_comes_alone() -> None:
    text = policy({"a": "A sexy knife is visible."}, {"r": "b"}).replace("  r:", "  r:  # lint: allow subjective")
    report = lint_text(text, "p.yaml")
    assert {each.severity for each in report.findings} == {"error"}
    assert report.accepted == ()


def test_examples_of_one_kind_are_noted() -> None:
    rule = {"violated_when": "a", "examples": [{"media": "x.png", "violates": True}]}
    found = lint_text(policy({"a": KNIFE}, {"r": rule}), "p.yaml").findings
    assert [(each.severity, each.kind, each.message) for each in found] == [
        ("note", "no-examples", "every example is a violation")
    ]


def test_every_finding_has_a_kind_with_words_and_a_line() -> None:
    cases = Path(__file__).parents[1] / "cases" / "constitutions"
    found = lint_file(cases / "warnings.yaml").findings
    assert len(found) > 8
    assert {each.kind for each in found} <= KINDS.keys()
    assert all(each.line > 0 for each in found)


def test_many_overlapping_rules_end_in_time() -> None:
    """Half a million pairs that share a precondition; most are told apart without a proof, the budget ends the rest."""
    statements = {f"p{n}": f"Number {n} stands on a wall." for n in range(50)}
    triples = [(n % 50, n * 7 % 50, n * 13 % 49) for n in range(1_000)]
    rules = {f"r{n}": f"p{a} and p{b} and not p{c}" for n, (a, b, c) in enumerate(triples) if len({a, b, c}) == 3}
    rules["wide"] = "p1"
    found = lint_text(policy(statements, rules), "p.yaml").findings
    assert {each.kind for each in found if each.severity == "warning"} == {"overlap"}


def test_rules_too_entangled_to_compare_are_counted_not_guessed() -> None:
    statements = {f"p{n}": f"Number {n} stands on a wall." for n in range(40)}
    some = " or ".join(f"p{n}" for n in range(20))
    pairs = " or ".join(f"p{n} and p{n + 20}" for n in range(20))
    rules = {"some": f"{some} or z", "pairs": f"z or {pairs}"}
    statements["z"] = "A dog stands on a wall."
    found = list(overlaps(parse_constitution(policy(statements, rules), source="made")))
    assert [each.message for each in found] == [
        "whenever it is violated, 'some' is, too: it never decides",
        "comparisons of rules that were left out, as too many or too entangled: 2",
    ]
