from __future__ import annotations

from judge.canary.golden import golden_frame, golden_pictures, golden_prompt, golden_questions, golden_template
from judge.engines.base import Capabilities
from judge.prompts.render import precondition_prompt
from judge.types import QuestionFormat

PICTURES = {
    "knife-at-cat": "7e0f58e27e8b1e33d5b835c111a41c56fc547f2fa5beb818ecd8adefbb93709e",
    "bomb-at-hospital": "b0bcc40bd9f59208f5a4470746b121162c6750d12f87f94624e49a702a5e9833",
    "child-and-sign": "cf6270a0798b2d0d6217d934cb1e7288c30eefad665ac496570a35474690c63d",
    "shapes": "67b80c0b717fe8fc7a3b16546723ca2f79a7e406302d2e3be8283708eb6203e8",
    "gradient": "ebd6e8f090d867fc9cad5ca7d89a833e52043faa054cd642f079f952716adcbc",
}
"""For ever: another digest makes the records of all models, also of those that only others have, worthless."""


def test_the_pictures_are_the_same_for_ever() -> None:
    assert golden_pictures() == PICTURES


def test_the_drawn_pictures_show_what_they_are_named_after() -> None:
    shapes, gradient = golden_frame("shapes").image, golden_frame("gradient").image
    assert shapes.shape == (224, 224, 3)
    assert [tuple(shapes[y, x]) for y, x in ((70, 70), (60, 160), (190, 112), (5, 5))] == [
        (220, 30, 30),
        (30, 60, 200),
        (30, 160, 60),
        (255, 255, 255),
    ]
    assert gradient.shape == (160, 256, 3)
    assert (tuple(gradient[0, 0]), tuple(gradient[159, 255])) == ((255, 170, 60), (10, 20, 90))


def test_every_picture_is_asked_about_and_questions_are_few_and_different() -> None:
    questions = golden_questions(Capabilities())
    assert len(set(questions)) == len(questions) <= 12
    assert {question.picture for question in questions} == {*PICTURES, ""}


def test_an_engine_that_needs_a_picture_is_asked_the_questions_with_one() -> None:
    everything = golden_questions(Capabilities())
    assert golden_questions(Capabilities(text_only=False)) == tuple(each for each in everything if each.picture)


def test_questions_are_worded_by_the_template_of_preconditions() -> None:
    for question in golden_questions(Capabilities()):
        frames = (golden_frame(question.picture),) if question.picture else ()
        assert golden_prompt(question) == precondition_prompt(question.statement, frames)
        assert golden_prompt(question).template_digest == golden_template()


def test_a_guard_model_is_asked_in_its_own_format() -> None:
    guard = QuestionFormat(template="guard_llavaguard")
    question = golden_questions(Capabilities())[0]
    prompt = golden_prompt(question, guard)
    assert prompt == precondition_prompt(question.statement, (golden_frame(question.picture),), guard)
    assert prompt.template_digest == golden_template(guard) != golden_template()
