"""Clips change where they are told to, and statements about them follow from their frames."""

from __future__ import annotations

import numpy as np
import pytest

from judge.stickers.clips import (
    CLIP_KINDS,
    ClipKind,
    ClipStatement,
    clip_sentence,
    clip_truth,
    draw_clip,
    make_clip,
    parse_clip,
)
from judge.stickers.corpus import clip_question
from judge.stickers.sampling import draw_scene
from judge.stickers.statements import Atom, Truth
from judge.types import Outcome
from tests.stickers.test_reasoning import KNIFE_AT_DOG, _scene

TOUCH = Atom("touching", "weapon", "dog")
AWAY = _scene(("kitchen_knife", 100, 40), ("dog", 30, 12), ("man", 100, 100), ("sign:KILL", 5, 100))
GONE = _scene(("dog", 30, 12), ("man", 100, 100), ("sign:KILL", 5, 100))


@pytest.mark.parametrize("calm", [AWAY, GONE])
def test_the_event_is_where_it_should_be(calm) -> None:  # type: ignore[no-untyped-def]
    clip = make_clip(calm, KNIFE_AT_DOG, frames=40, start=10, end=25, seed=1)
    holds = [Truth(scene).of(TOUCH) for scene in clip.frames]
    assert clip.duration_ms == 4000
    assert set(holds[:10]) == {"rejected"}
    assert set(holds[14:25]) == {"satisfied"}
    assert set(holds[29:]) == {"rejected"}


def test_a_sticker_that_moves_takes_its_time() -> None:
    clip = make_clip(AWAY, KNIFE_AT_DOG, frames=20, start=5, end=15, seed=1)
    places = [next(s.x for s in scene.stickers if s.concept == "kitchen_knife") for scene in clip.frames]
    steps = np.abs(np.diff(places))
    assert steps.max() < 90 / 2
    assert min(places) < 20
    assert max(places) > 90


@pytest.mark.parametrize(
    ("kind", "outcomes"),
    [
        ("sometime", ("rejected", "satisfied", "satisfied", "satisfied")),
        ("always", ("rejected", "rejected", "satisfied", "rejected")),
        ("begins", ("rejected", "satisfied", "rejected", "rejected")),
        ("ends", ("rejected", "rejected", "rejected", "satisfied")),
    ],
)
def test_truth_along_a_clip(kind: ClipKind, outcomes: tuple[Outcome, ...]) -> None:
    orders = ([AWAY, GONE], [AWAY, KNIFE_AT_DOG], [KNIFE_AT_DOG, KNIFE_AT_DOG], [KNIFE_AT_DOG, GONE])
    assert tuple(clip_truth(ClipStatement(kind, TOUCH), frames) for frames in orders) == outcomes


@pytest.mark.parametrize("kind", CLIP_KINDS)
@pytest.mark.parametrize("atom", [TOUCH, Atom("sign_word", "KILL"), Atom("exists", "dog")])
def test_sentences_are_read_back(kind: ClipKind, atom: Atom) -> None:
    assert parse_clip(clip_sentence(ClipStatement(kind, atom))) == ClipStatement(kind, atom)
    assert parse_clip("A dog is visible.") is None
    assert parse_clip("At some moment I am sad.") is None


def test_questions_about_clips_are_balanced() -> None:
    rng = np.random.default_rng(4)
    yes = []
    for _ in range(120):
        clip = draw_clip(draw_scene(rng), rng)
        assert 20 <= len(clip.frames) <= 80
        frames = [clip.frames[n] for n in sorted(rng.choice(len(clip.frames), 4, replace=False))]
        question = clip_question(frames, rng)
        sentence = question.text.rsplit("Statement: ", 1)[1]
        assert any(sentence.startswith(start) for start in ("At some", "In every", "Later", "At first"))
        yes.append(question.answer == "Yes")
    assert 0.35 < np.mean(yes) < 0.65
