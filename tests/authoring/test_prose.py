"""An expression in words can be read back: nothing is lost, and no two expressions sound the same."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given

from judge.authoring.prose import prose
from judge.constitution import And, AtLeast, Expression, Name, Not, Or, names, parse
from tests.constitution.trees import LETTERS, expressions

STATEMENTS = {id: f'The "{id}" is\nvisible.' for id in LETTERS}
IDS = {" ".join(statement.split()): id for id, statement in STATEMENTS.items()}


def read_back(text: str) -> Expression:
    head, *lines = text.split("\n")
    assert head == "A picture breaks the rule exactly if this is so:"
    expression, rest = _read(lines, 0)
    assert rest == []
    return expression


def _read(lines: list[str], depth: int) -> tuple[Expression, list[str]]:
    line, rest = lines[0], lines[1:]
    assert line.startswith("   " * depth + "- ")
    words = line[3 * depth + 2 :]
    if words.startswith('"'):
        return Name(IDS[json.loads(words)]), rest
    if words.startswith("it is not so that "):
        return Not(Name(IDS[json.loads(words.removeprefix("it is not so that "))])), rest
    args = []
    while rest and rest[0].startswith("   " * (depth + 1)):
        arg, rest = _read(rest, depth + 1)
        args.append(arg)
    if words == "the following is not so:":
        (arg,) = args
        return Not(arg), rest
    if words == "all of these:":
        return And(tuple(args)), rest
    if words == "at least one of these:":
        return Or(tuple(args)), rest
    found = re.fullmatch(r"at least (\d+) of these (\d+), counted one by one:", words)
    assert found is not None
    assert int(found[2]) == len(args)
    return AtLeast(int(found[1]), tuple(args)), rest


@given(expressions)
def test_it_reads_back_to_the_same_expression(expression: Expression) -> None:
    assert read_back(prose(expression, STATEMENTS)) == expression


@given(expressions)
def test_it_mentions_every_precondition_and_no_other(expression: Expression) -> None:
    text = prose(expression, STATEMENTS)
    mentioned = {id for statement, id in IDS.items() if json.dumps(statement) in text}
    assert mentioned == set(names(expression))


@pytest.mark.parametrize(
    ("expression", "lines"),
    [
        ("a", ['- "A."']),
        ("not a", ['- it is not so that "A."']),
        ("a and not b", ["- all of these:", '   - "A."', '   - it is not so that "B."']),
        (
            "at_least(2, a, b, c) and not (a or b)",
            [
                "- all of these:",
                "   - at least 2 of these 3, counted one by one:",
                '      - "A."',
                '      - "B."',
                '      - "C."',
                "   - the following is not so:",
                "      - at least one of these:",
                '         - "A."',
                '         - "B."',
            ],
        ),
    ],
)
def test_the_words(expression: str, lines: list[str]) -> None:
    text = prose(parse(expression), {"a": "A.", "b": "B.", "c": "C."})
    assert text.split("\n")[1:] == lines
