from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from judge.config import Thresholds
from judge.engines.scripted import Answer, ScriptedEngine
from judge.errors import EngineError
from judge.prompts.render import precondition_prompt, template_digest
from judge.stages.prior_store import PriorStore
from judge.stages.token_probability import FrameAnswers, FrameQuestions, TokenProbability
from judge.types import Evidence, Frame, Prompt, Readings, Usage

KNIFE, PERSON = "A knife is visible.", "A person is visible."
STATEMENTS = {"knife": KNIFE, "person": PERSON}


def frame(index: int = 0, gray: int = 0) -> Frame:
    return Frame(index, index * 0.5, np.full((4, 4, 3), gray, dtype=np.uint8))


def brightness(prompt: Prompt) -> float:
    return float(prompt.frames[0].image[0, 0, 0]) / 255.0


async def test_evidence_says_what_was_asked_and_read() -> None:
    engine = ScriptedEngine({KNIFE: Answer(0.9, 0.95)}, text_only={KNIFE: 0.8})
    stage = TokenProbability(engine, Thresholds(), PriorStore())
    answers = await stage.ask([FrameQuestions(frame(3), {"knife": KNIFE})])
    probability = answers[0].evidence["knife"].probability
    assert probability == pytest.approx(9 / 11)  # odds 9, less the square root of the prior's odds 4
    assert answers == [
        FrameAnswers(
            {
                "knife": Evidence(
                    stage="token_probability",
                    precondition_id="knife",
                    statement=KNIFE,
                    outcome="satisfied",
                    probability=probability,
                    readings=Readings(observed=0.9, mass=0.95, prior=0.8),
                    reason="",
                    frame_indices=(3,),
                    template_digest=template_digest("precondition"),
                )
            },
            Usage(prompt_tokens=len(precondition_prompt(KNIFE).messages[0].text.split()), questions=1),
        )
    ]


async def test_a_batch_is_one_call_priors_included_and_frames_are_not_torn_apart() -> None:
    engine = ScriptedEngine(default=0.5)
    frames = [frame(0), frame(1)]
    stage = TokenProbability(engine, Thresholds(), PriorStore())
    await stage.ask([FrameQuestions(each, STATEMENTS) for each in frames])
    (call,) = engine.calls
    assert call.prompts == (
        precondition_prompt(KNIFE, ()),
        precondition_prompt(PERSON, ()),
        *(precondition_prompt(text, (each,)) for each in frames for text in (KNIFE, PERSON)),
    )


async def test_answers_belong_to_their_frame_and_statement() -> None:
    engine = ScriptedEngine({KNIFE: brightness, PERSON: lambda prompt: 1.0 - brightness(prompt)})
    stage = TokenProbability(engine, Thresholds(preset="none"), PriorStore())
    batch = [FrameQuestions(frame(0, 255), STATEMENTS), FrameQuestions(frame(1, 0), {"person": PERSON})]
    answers = await stage.ask(batch)
    assert [{name: item.probability for name, item in each.evidence.items()} for each in answers] == [
        {"knife": 1.0, "person": 0.0},
        {"person": 1.0},
    ]
    assert [each.usage.questions for each in answers] == [2, 1]


async def test_a_prior_is_asked_once_for_all_runs(tmp_path: Path) -> None:
    batch = [FrameQuestions(frame(), STATEMENTS)]
    first, second = (ScriptedEngine(default=0.5) for _ in range(2))
    before = await TokenProbability(first, Thresholds(), PriorStore(tmp_path)).ask(batch)
    after = await TokenProbability(second, Thresholds(), PriorStore(tmp_path)).ask(batch)
    assert [len(engine.calls[0].prompts) for engine in (first, second)] == [4, 2]
    assert before == after


async def test_another_model_gets_its_own_priors(tmp_path: Path) -> None:
    batch = [FrameQuestions(frame(), {"knife": KNIFE})]
    await TokenProbability(ScriptedEngine(default=0.5), Thresholds(), PriorStore(tmp_path)).ask(batch)
    other = ScriptedEngine(default=0.9)
    (answers,) = await TokenProbability(other, Thresholds(), PriorStore(tmp_path)).ask(batch)
    assert answers.evidence["knife"].readings == Readings(observed=0.9, mass=1.0, prior=0.9)


@pytest.mark.parametrize("preset", ["none", "threshold"])
async def test_a_preset_without_prior_asks_with_the_image_only(preset: str) -> None:
    engine = ScriptedEngine(default=0.5)
    thresholds = Thresholds.model_validate({"preset": preset})
    (answers,) = await TokenProbability(engine, thresholds, PriorStore()).ask([FrameQuestions(frame(), STATEMENTS)])
    assert [len(prompt.frames) for prompt in engine.calls[0].prompts] == [1, 1]
    assert answers.evidence["knife"].readings == Readings(observed=0.5, mass=1.0)


async def test_nothing_to_ask_calls_nothing() -> None:
    engine = ScriptedEngine()
    stage = TokenProbability(engine, Thresholds(), PriorStore())
    assert await stage.ask([]) == []
    assert await stage.ask([FrameQuestions(frame(), {})]) == [FrameAnswers({}, Usage())]
    assert engine.calls == []


@pytest.mark.parametrize("broken", [Answer(math.nan), Answer(1.5), Answer(0.5, math.nan), Answer(0.5, -1.0)])
async def test_an_unreadable_answer_is_undecided_and_spoils_no_other(broken: Answer) -> None:
    engine = ScriptedEngine({KNIFE: broken, PERSON: 0.9}, text_only={}, default=0.5)
    stage = TokenProbability(engine, Thresholds(), PriorStore())
    (answers,) = await stage.ask([FrameQuestions(frame(), STATEMENTS)])
    knife = answers.evidence["knife"]
    assert (knife.outcome, knife.readings) == ("undecided", None)
    assert knife.reason.startswith("the answer is no probability")
    assert answers.evidence["person"].outcome == "satisfied"


@pytest.mark.parametrize("preset", ["none", "log_odds"])
async def test_an_answer_without_any_mass_is_never_read_as_one_half(preset: str) -> None:
    engine = ScriptedEngine({KNIFE: Answer(0.5, mass=0.0)}, text_only={}, default=0.5)
    thresholds = Thresholds.model_validate({"preset": preset, "accept": 0.5, "reject": 0.5, "min_mass": 0.0})
    stage = TokenProbability(engine, thresholds, PriorStore())
    (answers,) = await stage.ask([FrameQuestions(frame(), {"knife": KNIFE})])
    knife = answers.evidence["knife"]
    assert (knife.outcome, knife.readings) == ("undecided", None)
    assert knife.reason == "neither Yes nor No was among the answers that the model considered"


@pytest.mark.parametrize("unreadable", [Answer(math.nan), Answer(0.5, mass=0.0)])
async def test_an_unreadable_prior_is_undecided_and_not_kept(tmp_path: Path, unreadable: Answer) -> None:
    store = PriorStore(tmp_path)
    engine = ScriptedEngine({KNIFE: 0.99}, text_only={KNIFE: unreadable})
    (answers,) = await TokenProbability(engine, Thresholds(), store).ask([FrameQuestions(frame(), {"knife": KNIFE})])
    assert answers.evidence["knife"].outcome == "undecided"
    assert answers.evidence["knife"].reason == "the reading without the image is missing"
    assert list(tmp_path.iterdir()) == []


async def test_rounding_is_not_an_unreadable_answer() -> None:
    engine = ScriptedEngine({KNIFE: Answer(1.0000001, 1.0000001)})
    stage = TokenProbability(engine, Thresholds(preset="none"), PriorStore())
    (answers,) = await stage.ask([FrameQuestions(frame(), {"knife": KNIFE})])
    assert answers.evidence["knife"].readings == Readings(observed=1.0, mass=1.0)


async def test_a_failing_engine_raises() -> None:
    stage = TokenProbability(ScriptedEngine({KNIFE: EngineError("out of memory")}), Thresholds(), PriorStore())
    with pytest.raises(EngineError, match="out of memory"):
        await stage.ask([FrameQuestions(frame(), {"knife": KNIFE})])


def by_view(prompt: Prompt) -> float:
    """0.1 for the gray reference, 0.3 for the noise, 0.9 for a black frame, and 0.6 for it under noise."""
    image = prompt.frames[0].image
    if image.shape == (224, 224, 3):
        return 0.1 if (image == 128).all() else 0.3
    return 0.9 if (image == 0).all() else 0.6


async def test_references_are_read_and_the_constant_ones_only_once(tmp_path: Path) -> None:
    thresholds = Thresholds(preset="contextual", contextual_references=("none", "blank", "noise", "noised"))
    expected = Readings(observed=0.9, mass=1.0, prior=0.2, references={"blank": 0.1, "noise": 0.3, "noised": 0.6})
    for asked in (5, 2):  # without and with what is kept; the frame and its noised view are asked each time
        engine = ScriptedEngine({KNIFE: by_view}, text_only={KNIFE: 0.2})
        stage = TokenProbability(engine, thresholds, PriorStore(tmp_path))
        (answers,) = await stage.ask([FrameQuestions(frame(), {"knife": KNIFE})])
        assert answers.evidence["knife"].readings == expected
        assert len(engine.calls[0].prompts) == asked
        assert answers.usage.questions == 2


async def test_a_reference_that_cannot_be_read_leaves_its_precondition_undecided() -> None:
    def unreadable(prompt: Prompt) -> Answer:
        return Answer(0.9, mass=0.0 if (prompt.frames[0].image != 0).any() else 1.0)

    stage = TokenProbability(ScriptedEngine({KNIFE: unreadable}), Thresholds(preset="contrastive"), PriorStore())
    (answers,) = await stage.ask([FrameQuestions(frame(), {"knife": KNIFE})])
    assert answers.evidence["knife"].outcome == "undecided"
    assert answers.evidence["knife"].reason == "the reading of the picture under noise is missing"
