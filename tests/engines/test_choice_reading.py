from __future__ import annotations

import math

import pytest

from judge.engines.chat_format import TopLogprob
from judge.engines.choice_reading import ChoiceReader, read_logprobs, read_samples
from judge.errors import EngineError
from judge.types import ChoiceProbabilities

YES_NO = ChoiceReader(("Yes", "No"))


def top(*listed: tuple[str, float]) -> list[TopLogprob]:
    return [TopLogprob(token=token, logprob=math.log(p)) for token, p in listed]


def read(*listed: tuple[str, float], reader: ChoiceReader = YES_NO) -> ChoiceProbabilities:
    return read_logprobs(reader, top(*listed), prompt_tokens=3)


def near(probabilities: dict[str, float], mass: float) -> ChoiceProbabilities:
    expected = {choice: pytest.approx(p, abs=1e-9) for choice, p in probabilities.items()}
    return ChoiceProbabilities(expected, pytest.approx(mass, abs=1e-9), 3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "token", ["Yes", " Yes", "yes", " yes", "YES", "\nYes", "\u2581Yes", "\u0120yes", "\u010aYes", "Yes ", "\tyEs"]
)
def test_every_spelling_of_one_token_counts(token: str) -> None:
    assert YES_NO.token(token) == "Yes"
    assert read((token, 0.6), ("No", 0.2)) == near({"Yes": 0.75, "No": 0.25}, 0.8)


@pytest.mark.parametrize("token", ["Yesterday", "Y", "Ye", "Yes.", "", " ", "\n", "Not", "N", "None", "Non", "<think>"])
def test_other_words_and_beginnings_do_not(token: str) -> None:
    assert YES_NO.token(token) is None


def test_spellings_are_summed_and_the_mass_is_what_is_listed() -> None:
    answer = read(("Yes", 0.3), (" yes", 0.2), ("Maybe", 0.2), ("NO", 0.1), (" No", 0.05))
    assert answer == near({"Yes": 0.5 / 0.65, "No": 0.15 / 0.65}, 0.65)


def test_neither_among_the_likeliest_has_no_mass() -> None:
    assert read(("The", 0.7), ("It", 0.2)) == ChoiceProbabilities({"Yes": 0.5, "No": 0.5}, 0.0, 3)


def test_an_unlisted_choice_gets_the_most_that_the_last_listed_token_allows() -> None:
    """Six spellings of at most 0.001 each, which is less than the 0.049 that the list leaves."""
    answer = read(("Yes", 0.95), ("Maybe", 0.001))
    assert answer == near({"Yes": 0.95 / 0.956, "No": 0.006 / 0.956}, 0.95)


def test_an_unlisted_choice_gets_no_more_than_the_list_leaves() -> None:
    assert read(("No", 0.7), ("Maybe", 0.2)) == near({"Yes": 0.1 / 0.8, "No": 0.7 / 0.8}, 0.7)
    assert read(("No", 1.0)) == near({"Yes": 0.0, "No": 1.0}, 1.0)


def test_an_unlisted_choice_never_wins() -> None:
    """Unlisted, No may have all of 0.1; the only thing known is that Yes has 0.001."""
    assert read(("The", 0.899), ("Yes", 0.001)) == near({"Yes": 0.5, "No": 0.5}, 0.001)


def test_a_filler_is_not_a_listed_token() -> None:
    """Some servers write -9999 for what they did not compute: it bounds nothing."""
    fillers = [TopLogprob(token=" No", logprob=-9999.0), TopLogprob(token="x", logprob=-math.inf)]
    listed = top(("Yes", 0.6), ("Maybe", 0.3))
    assert read_logprobs(YES_NO, [*listed, *fillers], prompt_tokens=3) == near({"Yes": 0.6 / 0.7, "No": 0.1 / 0.7}, 0.6)
    assert read_logprobs(YES_NO, fillers, prompt_tokens=3).mass == 0.0


def test_the_drawn_token_listed_again_counts_once() -> None:
    assert read(("Yes", 0.6), ("No", 0.3), ("Yes", 0.6)) == near({"Yes": 2 / 3, "No": 1 / 3}, 0.9)


def test_rounding_is_forgiven_and_more_is_refused() -> None:
    assert read(("Yes", 0.903), ("No", 0.1)) == near({"Yes": 0.903 / 1.003, "No": 0.1 / 1.003}, 1.0)
    with pytest.raises(EngineError, match=r"probabilities of the 2 likeliest tokens add up to 1\.500"):
        read(("Yes", 0.9), ("No", 0.6))


def test_choices_that_differ_only_in_case_are_told_apart_by_case() -> None:
    reader = ChoiceReader(("A", "a", "B"))
    answer = read((" A", 0.4), ("a", 0.1), ("b", 0.3), reader=reader)
    assert answer == near({"A": 0.5, "a": 0.125, "B": 0.375}, 0.8)
    assert ChoiceReader(("Yes", "YES")).token("yes") is None


@pytest.mark.parametrize("choices", [(), ("Yes", "Yes"), ("Yes", " Yes"), ("Yes", ""), ("Yes", " ")])
def test_choices_that_no_text_tells_apart_are_refused(choices: tuple[str, ...]) -> None:
    with pytest.raises(EngineError, match="choices"):
        ChoiceReader(choices)


def test_three_choices() -> None:
    answer = read(("red", 0.5), ("Green", 0.25), ("x", 0.01), reader=ChoiceReader(("red", "green", "blue")))
    assert answer == near({"red": 0.5 / 0.81, "green": 0.25 / 0.81, "blue": 0.06 / 0.81}, 0.75)


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("Yes", "Yes"),
        (" yes.", "Yes"),
        ("**No**, there", "No"),
        ("no", "No"),
        ("No-one is there", "No"),
        ('"Yes"', "Yes"),
        ("Nothing", None),
        ("Not sure", None),
        ("Yesterday", None),
        ("The answer is Yes", None),
        ("", None),
    ],
)
def test_a_written_answer_begins_with_a_choice(text: str, choice: str | None) -> None:
    assert YES_NO.written(text) == choice


def test_the_longest_choice_that_fits_is_meant() -> None:
    reader = ChoiceReader(("No", "No idea", "Yes"))
    assert [reader.written(text) for text in ("no idea.", "No, idea")] == ["No idea", "No"]


def test_samples_are_counted_with_half_a_vote_more() -> None:
    answer = read_samples(YES_NO, ["Yes", "yes.", "No", "I cannot say"], prompt_tokens=3)
    assert answer == near({"Yes": 2.5 / 4, "No": 1.5 / 4}, 0.75)
    assert read_samples(YES_NO, ["Yes"] * 16, prompt_tokens=3) == near({"Yes": 16.5 / 17, "No": 0.5 / 17}, 1.0)


def test_samples_of_which_none_can_be_read_have_no_mass() -> None:
    assert read_samples(YES_NO, ["Sorry", ""], prompt_tokens=3) == ChoiceProbabilities({"Yes": 0.5, "No": 0.5}, 0.0, 3)
