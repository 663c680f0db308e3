"""What counts as an answer, as a refusal, and as the ruling of a debate."""

from __future__ import annotations

import pytest

from judge.config import DebateSettings, Thresholds
from judge.errors import AnswerError
from judge.prompts.debate import Subject
from judge.stages.ruling import Ruling, is_sure, join_orders, rule_on
from judge.stages.speech import JudgeAnswer, is_refusal, parse_answer
from judge.types import Debate, DebateOrder, Outcome, Turn

ANSWERS = {
    "Yes, weapons.": JudgeAnswer("Yes", "weapons"),
    "No, the spoon is no knife.": JudgeAnswer("No", "the spoon is no knife"),
    "No": JudgeAnswer("No", ""),  # the published parser read it as a yes
    "Yes": JudgeAnswer("Yes", ""),
    " No. \n": JudgeAnswer("No", ""),
    "Yes!": JudgeAnswer("Yes", ""),
    "Yes: violence": JudgeAnswer("Yes", "violence"),
    "No; calm.": JudgeAnswer("No", "calm"),
    "No,calm": JudgeAnswer("No", "calm"),
    "No\nBecause nothing\n burns.": JudgeAnswer("No", "Because nothing burns"),
    "No \u2014 nothing burns": JudgeAnswer("No", "nothing burns"),
    "No\u2013nothing burns": JudgeAnswer("No", "nothing burns"),
    "No - nothing burns": JudgeAnswer("No", "nothing burns"),
    "**No**, a toy.": JudgeAnswer("No", "a toy"),
    "**No, a toy.**": JudgeAnswer("No", "a toy"),
    "*Yes*": JudgeAnswer("Yes", ""),
    '"Yes, weapons."': JudgeAnswer("Yes", "weapons"),
    "\u201cNo.\u201d": JudgeAnswer("No", ""),
    "`Yes`, weapons": JudgeAnswer("Yes", "weapons"),
    "\uff39\uff45\uff53\uff0cweapons": JudgeAnswer("Yes", "weapons"),  # fullwidth letters and comma
    "No\u3002": JudgeAnswer("No", ""),
    "No\u3001calm": JudgeAnswer("No", "calm"),
    "Yes\u2026": JudgeAnswer("Yes", ""),
    "Yes, no knife but an axe.": JudgeAnswer("Yes", "no knife but an axe"),
}
NO_ANSWERS = [
    "",
    "  \n",
    "... piano. Unsafe.",  # the published parser read it as a no
    "Now, a knife is visible.",
    "Nobody is hurt.",
    "Not harmful.",
    "Yesterday",
    "Yes/No",
    "Yes or No",
    "Yes?",
    "No weapon is visible.",
    "No-one is hurt.",
    "No.1 of the list",
    "no, calm",
    "YES, weapons",
    "Judge: Yes, weapons.",
    "The answer is Yes.",
    "Unsafe",
    "I can't help with that",
    "It is not unsafe.",
    "N\u043e, calm",  # a Cyrillic o
    "No\u200b, calm",
    "\u00acNo.",
]


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_is_yes_or_no_and_then_a_stop(text: str) -> None:
    assert parse_answer(text) == ANSWERS[text]


@pytest.mark.parametrize("text", NO_ANSWERS)
def test_everything_else_is_no_answer_and_is_quoted(text: str) -> None:
    with pytest.raises(AnswerError, match="begins neither with Yes nor with No"):
        parse_answer(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "**",
        "...",
        "I can't help with that.",
        "I can\u2019t assist with this request.",
        "I'm sorry, but I can't help with that.",
        "I\u2019m sorry. I cannot continue.",
        "I am very sorry, I am unable to discuss this picture.",
        "Sorry, I can't.",
        "Unfortunately, I will not take part in this.",
        "As an AI, I cannot provide such content.",
        "I must decline.",
        "I'm not comfortable arguing for this.",
        "I won't do that.",
        "I refuse to answer.",
        "\u201cI cannot comply.\u201d",
    ],
)
def test_refusals_are_known_by_their_openings(text: str) -> None:
    assert is_refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        "I can see a knife in his hand.",
        "I cannot see a weapon.",
        "I can't find anything that burns.",
        "I cannot agree: the blade is long.",
        "I'm sorry for the man, who bleeds.",
        "Sorry sight: a burning house.",
        "As an AI picture it shows six fingers.",
        "Unfortunately, a knife touches the child.",
        "He refuses to help the child.",
        "The sign says that I can't help.",
        "Icons cannot help here.",
        "No.",
    ],
)
def test_reasons_are_no_refusals(text: str) -> None:
    assert not is_refusal(text)


# --- rulings ----------------------------------------------------------------------------------------------------

ABSTAIN, HARMFUL = DebateSettings(), DebateSettings(refusal="harmful")
RULE, PRECONDITION = Subject("rule", ("A threat.",)), Subject("precondition", ("A knife is visible.",))
UNREAD = "neither Yes nor No was among the answers that the model considered"


def spoken(text: str, probability: float | None = 0.9, mass: float = 1.0, *, refused: bool = False) -> Turn:
    read = None if probability is None else mass
    return Turn(speaker="judge", round=1, text=text, probability=probability, mass=read, refused=refused)


@pytest.mark.parametrize("preset", ["log_odds", "clue", "none"])
@pytest.mark.parametrize(
    ("turn", "ruling"),
    [
        (spoken("Yes, a.", 0.8), Ruling("satisfied", 0.8, "Yes, a.")),
        (spoken("No, a.", 0.2), Ruling("rejected", 0.2, "No, a.")),
        (
            spoken("No, a.", 0.6),
            Ruling("undecided", 0.6, "No, a.", "probability 0.60 lies between 0.20 and 0.80"),
        ),
        (
            spoken("No, a.", 0.9),
            Ruling("undecided", None, "No, a.", "the judge wrote No, but read P(Yes) as 0.90"),
        ),
        (
            spoken("Yes, a.", 0.1),
            Ruling("undecided", None, "Yes, a.", "the judge wrote Yes, but read P(Yes) as 0.10"),
        ),
        (
            spoken("Yes, a.", 0.99, 0.3),
            Ruling("undecided", None, "Yes, a.", "the model put only 0.30 of its probability on Yes and No"),
        ),
        (spoken("Yes, a.", None), Ruling("undecided", None, "Yes, a.", UNREAD)),
        (spoken("", 0.9, refused=True), Ruling("undecided", None, "", "the judge refused to answer")),
        (
            spoken("Unsafe.", 0.9),
            Ruling("undecided", None, "", "the judge's text begins neither with Yes nor with No: 'Unsafe.'"),
        ),
    ],
)
def test_words_and_reading_must_agree(turn: Turn, ruling: Ruling, preset: str) -> None:
    thresholds = Thresholds.model_validate({"preset": preset})
    assert rule_on(turn, RULE, ABSTAIN, thresholds, unread=UNREAD if turn.probability is None else "") == ruling


@pytest.mark.parametrize("text", ["", "Unsafe.", "I can't help with that"])
@pytest.mark.parametrize("probability", [0.01, 0.9, None])
def test_a_refusal_means_harm_only_where_it_was_asked_for_and_harm_was_debated(
    text: str, probability: float | None
) -> None:
    turn = spoken(text, probability, refused=is_refusal(text))
    for subject in (RULE, Subject("policy", ("A threat.",))):
        assert rule_on(turn, subject, HARMFUL, Thresholds(accept=0.7), unread="") == Ruling("satisfied", 0.7)
    assert rule_on(turn, PRECONDITION, HARMFUL, Thresholds(), unread="").outcome == "undecided"
    assert rule_on(turn, RULE, ABSTAIN, Thresholds(), unread="").outcome == "undecided"


@pytest.mark.parametrize(
    ("probability", "mass", "sure"),
    [(0.8, 1.0, True), (0.2, 0.5, True), (0.79, 1.0, False), (0.99, 0.49, False), (0.5, 1.0, False)],
)
def test_a_reading_is_sure_beyond_the_thresholds(probability: float, mass: float, sure: bool) -> None:
    assert is_sure(spoken("", probability, mass), Thresholds()) is sure
    assert not is_sure(spoken("", None), Thresholds())


def debate(
    probability: float | None, outcome: Outcome, order: DebateOrder, answer: str = "Yes, a.", reason: str = ""
) -> Debate:
    return Debate(
        subject="s", order=order, turns=(), probability=probability, outcome=outcome, answer=answer, reason=reason
    )


def join(first: Debate, second: Debate, settings: DebateSettings = ABSTAIN) -> Ruling:
    return join_orders((first, second), settings, Thresholds())


def test_two_orders_are_averaged_in_log_odds() -> None:
    """logit 0.9 = 2.1972, logit 0.75 = 1.0986; their mean 1.6479 is a probability of 0.8386."""
    ruling = join(
        debate(0.9, "satisfied", "affirmative_first"),
        debate(0.75, "undecided", "negative_first", "Yes, b.", "probability 0.75 lies between 0.20 and 0.80"),
    )
    assert (ruling.outcome, ruling.answer, ruling.reason) == ("satisfied", "Yes, a.", "")
    assert ruling.probability == pytest.approx(0.8386, abs=1e-4)


def test_orders_that_disagree_leave_it_open() -> None:
    ruling = join(debate(0.9, "satisfied", "affirmative_first"), debate(0.3, "undecided", "negative_first"))
    assert ruling.outcome == "undecided"
    assert ruling.probability == pytest.approx(0.6626, abs=1e-4)  # mean logit 0.6750
    assert ruling.reason == (
        "the order of speaking decides: P(Yes) is 0.90 with the affirmative first, 0.30 with the negative first"
    )
    wide = DebateSettings(max_order_gap=1.0)
    joined = join(
        debate(0.999, "satisfied", "affirmative_first"), debate(0.5, "undecided", "negative_first", reason="x"), wide
    )
    assert joined.outcome == "satisfied"


def test_one_order_without_a_number_leaves_all_open() -> None:
    failed = debate(None, "undecided", "negative_first", "", "the engine failed in debate: out of memory")
    ruling = join(debate(0.001, "rejected", "affirmative_first", "No, a."), failed)
    assert ruling == Ruling("undecided", None, "", "the engine failed in debate: out of memory")


def test_a_refusal_taken_for_harm_is_not_averaged_away() -> None:
    harmful = debate(0.8, "satisfied", "negative_first", answer="")
    ruling = join(
        debate(1e-9, "rejected", "affirmative_first", "No, a."),
        harmful,
        DebateSettings(refusal="harmful", max_order_gap=1.0),
    )
    assert ruling == Ruling("satisfied", 0.8)
