"""An answer is read or refused: nothing is mended, nothing is guessed."""

from __future__ import annotations

import json

import pytest

from judge.authoring.answers import Decomposition, NewPrecondition, RoundTripReview, Scoring, read_answer
from judge.errors import AnswerError
from judge.types import Generation

GOOD = '{"explanation": "Fine.", "faithful": true, "score": 9}'


def read(text: str) -> Scoring:
    return read_answer(Generation(text, "stop"), Scoring)


@pytest.mark.parametrize(
    "text", [GOOD, f"  {GOOD}\n", f"```json\n{GOOD}\n```", f"```\n{GOOD}\n```\n", GOOD.replace("9", "9.0")]
)
def test_one_object_alone_or_in_one_fence(text: str) -> None:
    assert read(text) == Scoring(explanation="Fine.", faithful=True, score=9.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not one JSON object"),
        ("Score: 9", "not one JSON object"),
        (f"Here it is: {GOOD}", "not one JSON object"),
        (f"{GOOD} I hope this helps.", "not one JSON object"),
        (f"{GOOD}\n{GOOD}", "not one JSON object"),
        (f"<think>hm</think>{GOOD}", "not one JSON object"),
        (f"```json\n{GOOD}\n```\n```json\n{GOOD}\n```", "not one JSON object"),
        (f"```json\n{GOOD}", "not one JSON object"),
        (f"[{GOOD}]", "a JSON list"),
        ("9", "a JSON int"),
        ("null", "a JSON NoneType"),
        (GOOD.replace("9", '"9"'), "score: Input should be a valid number"),
        (GOOD.replace("9", '"9/10"'), "score: Input should be a valid number"),
        (GOOD.replace("9", "9/10"), "not one JSON object"),
        (GOOD.replace("9", "true"), "score: Input should be a valid number"),
        (GOOD.replace("9", "null"), "score: Input should be a valid number"),
        (GOOD.replace("9", "0.5"), "greater than or equal to 1"),
        (GOOD.replace("9", "10.1"), "less than or equal to 10"),
        (GOOD.replace("9", "90"), "less than or equal to 10"),
        (GOOD.replace("9", "NaN"), "NaN is no JSON"),
        (GOOD.replace("9", "Infinity"), "Infinity is no JSON"),
        (GOOD.replace("9", "1e999"), "score"),
        (GOOD.replace("9", "1" * 5000), "not one JSON object"),
        (GOOD.replace("true", '"true"'), "faithful: Input should be a valid boolean"),
        (GOOD.replace("true", "1"), "faithful: Input should be a valid boolean"),
        (GOOD.replace('"Fine."', '""'), "explanation: is empty"),
        (GOOD.replace('"Fine."', r'"\ud800"'), "answer does not fit"),
        (GOOD.replace("}", ', "more": 1}'), "more: Extra inputs are not permitted"),
        (GOOD.replace("}", ', "score": 2}'), "a field occurs twice"),
        ('{"score": 9}', "explanation: Field required"),
        ("[" * 100_000, "not one JSON object"),
    ],
)
def test_everything_else_is_refused(text: str, words: str) -> None:
    with pytest.raises(AnswerError, match=words):
        read(text)


def test_a_text_that_was_cut_off_is_no_answer_even_if_it_looks_whole() -> None:
    with pytest.raises(AnswerError, match="cut off after 7 tokens"):
        read_answer(Generation(GOOD, "length", completion_tokens=7), Scoring)


def test_a_decomposition_has_a_canonical_expression() -> None:
    body = {"preconditions": [{"id": "a", "statement": "A  dog.", "focus": ["dog"]}], "violated_when": "(a and (b))"}
    assert read_answer(Generation(json.dumps(body), "stop"), Decomposition) == Decomposition(
        preconditions=(NewPrecondition(id="a", statement="A dog.", focus=("dog",)),), violated_when="a and b"
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"violated_when": "a &&"}, "violated_when: column 3: unexpected character '&'"),
        ({"violated_when": ""}, "violated_when: is empty"),
        ({"preconditions": [{"id": "A", "statement": "x", "focus": ["x"]}]}, "preconditions.0.id: is not a valid id"),
        ({"preconditions": [{"id": "not", "statement": "x", "focus": ["x"]}]}, "id: is not a valid id"),
        ({"preconditions": [{"id": "a", "statement": "x", "focus": []}]}, "focus"),
        ({"preconditions": [{"id": "a", "statement": "x" * 1001, "focus": ["x"]}]}, "statement"),
    ],
)
def test_a_bad_decomposition(change: dict[str, object], words: str) -> None:
    body = {"preconditions": [], "violated_when": "a"} | change
    with pytest.raises(AnswerError, match=words):
        read_answer(Generation(json.dumps(body), "stop"), Decomposition)


@pytest.mark.parametrize(
    ("missing", "extra", "same", "readable"),
    [
        ([], [], True, True),
        (["x"], [], False, True),
        ([], ["x"], False, True),
        ([], [], False, False),
        (["x"], [], True, False),
    ],
)
def test_a_comparison_must_agree_with_itself(missing: list[str], extra: list[str], same: bool, readable: bool) -> None:
    text = json.dumps({"missing": missing, "extra": extra, "same": same})
    if readable:
        assert read_answer(Generation(text, "stop"), RoundTripReview).same == same
    else:
        with pytest.raises(AnswerError, match="'same' must be true exactly if"):
            read_answer(Generation(text, "stop"), RoundTripReview)
