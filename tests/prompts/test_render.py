"""Every rendered prompt is pinned by a golden file. Update them with `UPDATE_GOLDEN=1 make test`."""

from __future__ import annotations

import os
from pathlib import Path

import jinja2
import numpy as np
import pytest

from judge.errors import ConfigError
from judge.profiles import load_profiles
from judge.prompts import posted, render
from judge.prompts.debate import DebateSpeaker, JudgedExample, Subject, debate_prompt
from judge.types import Frame, Message, Prompt, PromptLayout, QuestionFormat

GOLDEN = Path(__file__).parent.parent / "golden" / "prompts"
FRAME = Frame(0, 0.0, np.zeros((2, 2, 3), np.uint8))
PRECONDITION = Subject("precondition", ("A person is on fire.",), "a first look found this 48 % likely.")
SAID: tuple[tuple[DebateSpeaker, str], ...] = (
    ("affirmative", "Flames rise from her coat."),
    ("negative", "The light is orange,\nbut it is a <lamp>."),
)
RENDERED: dict[str, Prompt] = {
    "precondition": render.precondition_prompt("A weapon touches a person.", (FRAME,)),
    "rule": render.rule_prompt("A person is on fire.", (FRAME,)),
    "policy": render.policy_prompt(["A person is on fire.", "There is a drug."], (FRAME,)),
    "describe": render.describe_prompt((FRAME,)),
    "reason": render.reasoning_prompt("A person is on fire.", (FRAME,)),
    "conclude": render.conclusion_prompt("A person is on fire.", "A woman stands in flames.", (FRAME,)),
    "clip": render.clip_prompt("A person falls.", (FRAME, FRAME)),
    "debate_affirmative": debate_prompt(PRECONDITION, "affirmative", (), (FRAME,)),
    "debate_negative_answering": debate_prompt(PRECONDITION, "negative", SAID[:1], (FRAME,)),
    "debate_judge": debate_prompt(
        Subject("rule", ("A person is on fire.",), categories=("injury",)), "judge", SAID, (FRAME,)
    ),
    "debate_judge_policy_with_examples": debate_prompt(
        Subject("policy", ("A person is on fire.", "There is a drug."), categories=("injury", "drugs"), clip=True),
        "judge",
        SAID,
        (FRAME, FRAME),
        (JudgedExample((FRAME,), "No, a\ncampfire."), JudgedExample((FRAME, FRAME), "Yes, drugs.")),
    ),
    "posted_precondition": posted.with_posted(
        render.precondition_prompt("A weapon touches a person.", (FRAME,)), 'me on\nmonday: "die"'
    ),
    "text": posted.text_prompt("A group is insulted.", "they are <image> all \u201cthe same\u201d"),
    "text_prior": posted.text_prompt("A group is insulted."),
    "debate_critic": debate_prompt(PRECONDITION, "critic", (*SAID, ("judge", "Yes, flames on the coat.")), (FRAME,)),
}


def test_every_template_is_pinned() -> None:
    assert {name.partition("_")[0] for name in RENDERED} == {*render.TEMPLATES, *render.TEXT_TEMPLATES}


@pytest.mark.parametrize("name", RENDERED)
def test_the_words_are_those_of_the_golden_file(name: str) -> None:
    path = GOLDEN / f"{name}.txt"
    labels = "".join(f"[frame] {label}\n" for label in RENDERED[name].layout.frame_labels)
    text = labels + "\n".join(f"[{m.role}]\n{m.text}" for m in RENDERED[name].messages) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text, encoding="utf-8")
    assert path.read_text(encoding="utf-8") == text


def test_frames_come_with_the_prompt_and_the_prior_has_none() -> None:
    with_frame, prior = (render.precondition_prompt("There is a dog.", frames) for frames in ((FRAME,), ()))
    assert (with_frame.frames, prior.frames) == ((FRAME,), ())
    assert with_frame.messages == prior.messages


def test_questions_about_one_picture_share_everything_but_the_statement() -> None:
    one, two = (render.precondition_prompt(s).messages[0].text for s in ("There is a dog.", "A cat is visible."))
    head = one.removesuffix("There is a dog.")
    assert head.endswith("Statement: ")
    assert two == head + "A cat is visible."


def test_hostile_statements_stay_text_and_missing_fields_are_refused() -> None:
    text = "{{ 7 * 7 }} <image> {% raw %}"
    assert render.precondition_prompt(text).messages == (
        Message("user", render.precondition_prompt("X").messages[0].text[:-1] + text),
    )
    with pytest.raises(jinja2.UndefinedError):
        render._prompt("rule", ())


def test_digests_name_the_file_content() -> None:
    digests = {name: render.template_digest(name) for name in render.TEMPLATES}
    assert len(set(digests.values())) == len(render.TEMPLATES)
    assert RENDERED["rule"].template_digest == digests["rule"]
    assert len(render.templates_digest()) == 64
    assert render.templates_digest() != render.templates_digest(text=True)


# --- guard models -------------------------------------------------------------------------------------------

STATEMENTS = ["A person is on fire.", "There is a drug."]


def shown(prompt: Prompt) -> str:
    """Everything that is asked, and what the model's own chat template is given."""
    parts = [f"[{message.role}]\n{message.text}" for message in prompt.messages]
    parts += [f"[variable {name}]\n{text}" for name, text in prompt.layout.template_fields]
    parts += [f"[answer begins]\n{prompt.layout.answer_prefix}"] if prompt.layout.answer_prefix else []
    parts += ["[frames last]"] if prompt.layout.frames_last else []
    return "\n".join(parts) + "\n"


def question_format(template: str) -> QuestionFormat:
    """As the profiles have it."""
    (found,) = {
        question
        for profile in load_profiles().values()
        if (question := profile.traits.question_format()) and question.template == template
    }
    return found


@pytest.mark.parametrize("template", render.GUARD_TEMPLATES)
@pytest.mark.parametrize("kind", ["precondition", "policy"])
def test_every_guard_format_is_pinned(template: str, kind: str) -> None:
    asked = question_format(template)
    prompt = (
        render.precondition_prompt(STATEMENTS[0], (FRAME,), asked)
        if kind == "precondition"
        else render.policy_prompt(STATEMENTS, (FRAME,), asked)
    )
    path = GOLDEN / f"{template}.{kind}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(shown(prompt), encoding="utf-8")
    assert path.read_text(encoding="utf-8") == shown(prompt)
    assert prompt.frames == (FRAME,)


@pytest.mark.parametrize("template", render.GUARD_TEMPLATES)
def test_a_precondition_is_asked_as_a_policy_of_one_line(template: str) -> None:
    asked = question_format(template)
    one = render.precondition_prompt(STATEMENTS[0], (FRAME,), asked)
    assert one == render.rule_prompt(STATEMENTS[0], (FRAME,), asked)
    assert one == render.policy_prompt(STATEMENTS[:1], (FRAME,), asked)
    assert STATEMENTS[0] in shown(one)


@pytest.mark.parametrize("template", render.GUARD_TEMPLATES)
def test_hostile_statements_stay_text_in_guard_formats_too(template: str) -> None:
    text = "{{ 7 * 7 }} {% raw %}"
    assert text in shown(render.precondition_prompt(text, (), question_format(template)))


def test_an_unknown_guard_format_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'guard_llamaguard' \(did you mean 'guard_llavaguard'\?\)"):
        render.precondition_prompt("X.", (), QuestionFormat("guard_llamaguard"))


def test_formats_have_digests_of_their_own_and_ordinary_ones_keep_theirs() -> None:
    formats = [None, *map(QuestionFormat, render.GUARD_TEMPLATES), QuestionFormat("guard_shieldgemma", True)]
    for digests in (
        [render.templates_digest(each) for each in formats],
        [render.precondition_prompt("X.", (), each).template_digest for each in formats],
    ):
        assert len(set(digests)) == len(formats)
    assert render.precondition_prompt("X.").template_digest == render.template_digest("precondition")
    assert render.precondition_prompt("X.").layout == PromptLayout()
