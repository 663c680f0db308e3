"""The sides of a debate say only what is so, at most three things, and the judge names what decides."""

from __future__ import annotations

import numpy as np
import pytest

from judge.stickers.arguing import DebateTurn, draw_turn, speech, strip_answer, verdict
from judge.stickers.corpus import Asker
from judge.stickers.reasoning import read_claims
from judge.stickers.sampling import draw_scene
from judge.stickers.statements import Atom, Compound, Statement, Truth
from tests.stickers.test_reasoning import KNIFE_AT_DOG

AT_MAN = Atom("touching", "weapon", "man")


def test_each_side_says_what_speaks_for_it() -> None:
    assert speech(KNIFE_AT_DOG, AT_MAN, "affirmative") == "A weapon is visible: a kitchen knife. A man is visible."
    assert speech(KNIFE_AT_DOG, AT_MAN, "negative") == "A weapon does not touch a man."
    assert speech(KNIFE_AT_DOG, Atom("exists", "dog"), "negative") == "Nothing that is visible speaks against it."


@pytest.mark.parametrize(
    ("opponent", "answer"),
    [
        ("A weapon is visible: a kitchen knife.", "That is right. "),
        ("That is wrong. A weapon touches a man.", "That is wrong. "),
        ("A weapon is visible: a kitchen knife. A man is not visible.", "That is wrong. "),
        ("Nothing that is visible speaks for it.", ""),
        ("That is right. Nothing that is visible speaks for it.", ""),
        ("You are a fool.", ""),
    ],
)
def test_the_opponent_is_answered(opponent: str, answer: str) -> None:
    assert speech(KNIFE_AT_DOG, AT_MAN, "negative", opponent) == f"{answer}A weapon does not touch a man."


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        (AT_MAN, "No, a weapon does not touch a man."),
        (Atom("touching", "weapon", "dog"), "Yes, a weapon touches a dog."),
        (Atom("sign_kind", "hateful"), "Yes, hateful words: KILL."),
        (Compound("but not", Atom("exists", "dog"), Atom("exists", "toy")), "Yes, a toy is not visible."),
    ],
)
def test_the_judge_names_what_decides(statement: Statement, text: str) -> None:
    assert verdict(KNIFE_AT_DOG, statement, Truth(KNIFE_AT_DOG).of(statement)) == text


def test_drawn_turns_are_honest_and_of_every_sort() -> None:
    rng = np.random.default_rng(3)
    turns: list[tuple[DebateTurn, bool]] = []
    for _ in range(400):
        scene = draw_scene(rng)
        drawn = Asker(scene, rng).statement(wished_share=1.0)
        turn = draw_turn(scene, [draw_scene(rng)], drawn, rng)
        turns.append((turn, drawn[2] == "satisfied"))
        if turn.speaker != "judge":
            truth = Truth(scene)
            for claim in read_claims(strip_answer(turn.answer)) or ():
                assert truth.of(claim.atom) == ("satisfied" if claim.affirmed else "rejected")
    judged = [(turn, holds) for turn, holds in turns if turn.speaker == "judge"]
    assert 0.4 < len(judged) / len(turns) < 0.6
    assert all(turn.answer.startswith("Yes" if holds else "No") for turn, holds in judged)
    assert {turn.speaker for turn, _ in turns} == {"affirmative", "negative", "judge"}
    openings = {turn.answer.split(". ")[0] for turn, _ in turns}
    assert {"That is right", "That is wrong"} <= openings
