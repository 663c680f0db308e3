"""The logic, on a scripted engine; real models are in `test_embedded`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest

from judge.canary import CanaryReport, check_canary, record_canary
from judge.canary.golden import GoldenQuestion, golden_pictures, golden_questions, golden_template
from judge.canary.record import CanaryRecord, GoldenScore, Tolerance
from judge.engines.base import YES_NO, Capabilities, ModelInfo
from judge.engines.scripted import Answer, Scripted, ScriptedEngine
from judge.errors import AnswerError, EngineError
from judge.types import ChoiceProbabilities, Prompt, QuestionFormat
from tests.canary.making import BFLOAT16, CAT, FLOAT32, SHARED, recorded, scripted, with_scores


def check(engine: ScriptedEngine, record: CanaryRecord | None) -> CanaryReport:
    return asyncio.run(check_canary(engine, record))


def moved(log_odds: float) -> float:
    """0.3, moved."""
    odds = 0.3 / 0.7 * math.exp(log_odds)
    return odds / (1.0 + odds)


def drifted(report: CanaryReport) -> list[tuple[str, str]]:
    return [(each.picture, each.statement) for each in report.comparisons if each.drifted]


def test_a_record_holds_everything_that_it_depends_on() -> None:
    record = recorded()
    assert record.model_dump(exclude={"scores", "package"}) == {
        "schema_version": 1,
        "model": "pen",
        "model_digest": "d" * 64,
        "runtime": "transformers/float32/cpu",
        "template_digest": golden_template(),
        "pictures": golden_pictures(),
        "tolerance": Tolerance().model_dump(),
    }
    assert [score.question for score in record.scores] == list(golden_questions(Capabilities()))
    assert {(score.p_yes, score.mass) for score in record.scores} == {(0.3, 0.9)}


def test_the_same_engine_scores_as_recorded_in_one_call() -> None:
    record, engine = recorded(), scripted()
    report = check(engine, record)
    assert (report.status, report.message, report.hint) == ("ok", "canary: model 'pen' scores as recorded", "")
    assert [GoldenQuestion(each.picture, each.statement) for each in report.comparisons] == list(
        golden_questions(Capabilities())
    )
    assert {(each.recorded_p_yes, each.found_p_yes, each.log_odds) for each in report.comparisons} == {(0.3, 0.3, 0.0)}
    assert [len(call.prompts) for call in engine.calls] == [12]


@pytest.mark.parametrize(
    ("answer", "info", "expected"),
    [
        (Answer(moved(0.009), mass=0.9), FLOAT32, "ok"),
        (Answer(moved(0.011), mass=0.9), FLOAT32, "drift"),
        (Answer(moved(-0.011), mass=0.9), FLOAT32, "drift"),
        (Answer(moved(0.24), mass=0.9), BFLOAT16, "ok"),
        (Answer(moved(-0.26), mass=0.9), BFLOAT16, "drift"),
        (Answer(moved(0.24), mass=0.9), ModelInfo("pen", "d" * 64, runtime="openai/logprobs-20"), "ok"),
        (Answer(0.3, mass=0.86), FLOAT32, "ok"),
        (Answer(0.3, mass=0.84), FLOAT32, "drift"),
        (Answer(0.3, mass=0.96), BFLOAT16, "drift"),
        (Answer(0.3, mass=0.0), BFLOAT16, "drift"),
    ],
)
def test_one_answer_beyond_the_tolerance_is_drift(answer: Answer, info: ModelInfo, expected: str) -> None:
    report = check(scripted({CAT: answer}, info=info), recorded())
    assert report.status == expected
    assert drifted(report) == ([("knife-at-cat", CAT)] if expected == "drift" else [])


def test_near_certainty_nothing_that_a_threshold_could_tell_apart_is_drift() -> None:
    record = recorded(scripted({CAT: Answer(1e-6, mass=0.9), SHARED: Answer(1.0, mass=0.9)}))
    assert check(scripted({CAT: Answer(0.0, mass=0.9), SHARED: Answer(0.9995, mass=0.9)}), record).status == "ok"
    assert check(scripted({CAT: Answer(2e-3, mass=0.9), SHARED: Answer(1.0, mass=0.9)}), record).status == "drift"


def test_the_tolerance_is_the_records() -> None:
    record = recorded().model_copy(update={"tolerance": Tolerance(float32=0.5, mass=0.001)})
    assert check(scripted({CAT: Answer(moved(0.4), mass=0.9)}), record).status == "ok"
    assert check(scripted({CAT: Answer(0.3, mass=0.898)}), record).status == "drift"


def test_drift_is_told_worst_first_with_both_numbers() -> None:
    answers: dict[str, Scripted] = {
        CAT: Answer(0.5, mass=0.9),
        "There is a red circle.": Answer(0.9, mass=0.9),
        "drug": Answer(0.3, mass=0.8),
        "darker": Answer(0.4, mass=0.0),
    }
    report = check(scripted(answers, info=BFLOAT16), recorded())
    assert report.message == (
        "canary: model 'pen' on transformers/bfloat16/cuda no longer scores as recorded on transformers/float32/cpu: "
        "4 of 12 golden answers are off; "
        "'gradient: The right half is darker than the left half.': P(Yes) 0.3 with label mass 0.9 recorded, "
        "neither Yes nor No found; "
        "'shapes: There is a red circle.': P(Yes) 0.3 with label mass 0.9 recorded, 0.9 with 0.9 found; "
        "'knife-at-cat: There is a cat.': P(Yes) 0.3 with label mass 0.9 recorded, 0.5 with 0.9 found"
    )
    unread = next(each for each in report.comparisons if each.picture == "gradient")
    assert (unread.found_p_yes, unread.found_mass, unread.log_odds) == (None, 0.0, None)
    assert CanaryReport.model_validate_json(report.model_dump_json()) == report


STALE: list[tuple[dict[str, object], str]] = [
    (
        {"model_digest": "e" * 64, "model": "pencil"},
        "recorded for another model, 'pencil' with digest eeeeeeeeeeee; this one has dddddddddddd",
    ),
    ({"template_digest": "f" * 64}, "recorded with another prompt template, digest ffffffffffff; this one has"),
    ({"pictures": {**golden_pictures(), "shapes": "0" * 64}}, "recorded with other pictures: shapes"),
    ({"pictures": {}}, "other pictures: bomb-at-hospital, child-and-sign, gradient, knife-at-cat, shapes"),
    (
        {"scores": recorded().scores[1:-1]},
        "lacks 2 of the 12 golden questions, first 'knife-at-cat: A weapon touches an animal.'",
    ),
]


@pytest.mark.parametrize(("change", "words"), STALE, ids=[words[:30] for _, words in STALE])
def test_a_record_of_something_else_is_stale_and_nothing_is_asked(change: dict[str, object], words: str) -> None:
    engine = scripted({CAT: 0.99})
    report = check(engine, recorded().model_copy(update=change))
    assert (report.status, report.comparisons, engine.calls) == ("stale", (), [])
    assert words in report.message
    assert "record again" in report.hint


def test_a_model_that_is_asked_in_another_format_than_recorded_is_not_compared() -> None:
    guard = replace(FLOAT32, question_format=QuestionFormat(template="guard_llavaguard"))
    record = recorded(scripted(info=guard))
    assert check(scripted(info=guard), record).status == "ok"
    assert "another prompt template" in check(scripted(), record).message


def test_without_a_record_nothing_is_asked() -> None:
    engine = scripted()
    report = check(engine, None)
    assert (report.status, report.message, engine.calls) == (
        "no_record",
        "canary: there is no record of model 'pen'",
        [],
    )
    assert "judge canary record" in report.hint


def test_an_engine_that_needs_a_picture_is_compared_by_the_questions_with_one() -> None:
    blind = Capabilities(text_only=False)
    assert len(check(scripted(capabilities=blind), recorded()).comparisons) == 10
    assert check(scripted(capabilities=blind), recorded(scripted(capabilities=blind))).status == "ok"
    assert check(scripted(), recorded(scripted(capabilities=blind))).status == "stale"


@pytest.mark.parametrize("answer", [math.nan, Answer(0.3, mass=math.nan), 1.5, Answer(0.3, mass=-0.5)])
def test_a_number_that_is_no_probability_is_an_engine_error(answer: Scripted) -> None:
    for work in (lambda engine: check_canary(engine, recorded()), record_canary):
        with pytest.raises(EngineError, match=f"canary question 'knife-at-cat: {CAT}': the answer is no probability"):
            asyncio.run(work(scripted({CAT: answer})))


def test_an_engine_that_fails_is_an_error_of_the_canary_with_the_engines_hint() -> None:
    engine = scripted({CAT: EngineError("out of memory", hint="lower batch_size")})
    for work in (check_canary(engine, recorded()), record_canary(engine)):
        with pytest.raises(EngineError) as caught:
            asyncio.run(work)
        assert str(caught.value) == "canary: the golden questions failed: out of memory (lower batch_size)"


def test_an_engine_that_loses_answers_is_an_error() -> None:
    class Forgetful(ScriptedEngine):
        async def choose(self, prompts: Sequence[Prompt], choices: Sequence[str] = YES_NO) -> list[ChoiceProbabilities]:
            return (await super().choose(prompts, choices))[:1]

    with pytest.raises(EngineError, match="gave 1 answers to 12 questions"):
        asyncio.run(check_canary(Forgetful(default=0.3, info=FLOAT32), recorded()))


def test_what_was_not_answered_cannot_be_recorded() -> None:
    with pytest.raises(AnswerError, match=f"'knife-at-cat: {CAT}': model 'pen' considered neither Yes nor No"):
        recorded(scripted({CAT: Answer(0.3, mass=0.0)}))


def test_a_record_with_changed_numbers_is_seen() -> None:
    def change(score: GoldenScore) -> GoldenScore:
        return score.model_copy(update={"p_yes": 0.7}) if score.statement == SHARED else score

    report = check(scripted(), with_scores(recorded(), change))
    assert drifted(report) == [("knife-at-cat", SHARED), ("", SHARED)]
