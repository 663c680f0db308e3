"""Every rendered prompt is pinned by a golden file. Update them with `UPDATE_GOLDEN=1 make test`."""

from __future__ import annotations

import os
from pathlib import Path

import jinja2
import numpy as np
import pytest

from judge.prompts import render
from judge.types import Frame, Message, Prompt

GOLDEN = Path(__file__).parent.parent / "golden" / "prompts"
FRAME = Frame(0, 0.0, np.zeros((2, 2, 3), np.uint8))
RENDERED: dict[str, Prompt] = {
    "precondition": render.precondition_prompt("A weapon touches a person.", (FRAME,)),
    "rule": render.rule_prompt("A person is on fire.", (FRAME,)),
    "policy": render.policy_prompt(["A person is on fire.", "There is a drug."], (FRAME,)),
    "describe": render.describe_prompt((FRAME,)),
    "reason": render.reasoning_prompt("A person is on fire.", (FRAME,)),
    "conclude": render.conclusion_prompt("A person is on fire.", "A woman stands in flames.", (FRAME,)),
}


@pytest.mark.parametrize("name", render.TEMPLATES)
def test_the_words_are_those_of_the_golden_file(name: str) -> None:
    path = GOLDEN / f"{name}.txt"
    text = "\n".join(f"[{m.role}]\n{m.text}" for m in RENDERED[name].messages) + "\n"
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
