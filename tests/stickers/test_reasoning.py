"""Rationales are true of their scene, lead to the statement's truth, and train the very turns that the engine asks."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from transformers import AutoProcessor, PreTrainedTokenizerFast

from judge.assets import model_path
from judge.engines.encoding import PromptEncoder
from judge.prompts.debate import Subject, debate_prompt
from judge.prompts.render import clip_prompt, conclusion_prompt, reasoning_prompt
from judge.stickers.atlas import variants
from judge.stickers.corpus import Asker, Question
from judge.stickers.reasoning import Claim, facts, rationale, read_claims, scope_rationale
from judge.stickers.sampling import draw_scene
from judge.stickers.scene import Background, Scene, Sticker
from judge.stickers.statements import Atom, Compound, Statement, Truth
from judge.stickers.streams import REASONINGS, PackedStream, Packer
from judge.types import Frame


def _scene(*stickers: tuple[str, int, int]) -> Scene:
    placed = tuple(
        Sticker(
            concept=name.partition(":")[0],
            variant=name.partition(":")[2] or variants("noto", name)[0],
            x=x,
            y=y,
            size_px=40,
        )
        for name, x, y in stickers
    )
    return Scene(style="noto", background=Background(kind="flat", seed=1), stickers=placed)


KNIFE_AT_DOG = _scene(("kitchen_knife", 10, 10), ("dog", 30, 12), ("man", 100, 100), ("sign:KILL", 5, 100))


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        (Atom("exists", "dog"), "A dog is visible."),
        (Atom("exists", "weapon"), "A weapon is visible: a kitchen knife."),
        (Atom("exists", "toy"), "A toy is not visible."),
        (Atom("two", "animal"), "An animal is visible: a dog only."),
        (
            Atom("touching", "weapon", "animal"),
            "A weapon is visible: a kitchen knife. An animal is visible: a dog. A weapon touches an animal.",
        ),
        (
            Atom("touching", "weapon", "man"),
            "A weapon is visible: a kitchen knife. A man is visible. A weapon does not touch a man.",
        ),
        (Atom("next_to", "fire", "dog"), "Fire is not visible."),
        (
            Atom("next_to", "man", "person"),
            "A man is visible. A person is visible: a man. A man is not next to a person.",
        ),
        (Atom("bleeding", "man"), "A drop of blood is not visible."),
        (Atom("sign"), "A sign says KILL."),
        (Atom("sign_word", "LOVE"), "A sign says KILL."),
        (Atom("sign_kind", "hateful"), "A sign says KILL. Hateful words: KILL."),
        (Atom("sign_kind", "neutral"), "A sign says KILL. Friendly words: none."),
        (Atom("stickers"), "The picture is made of stickers."),
        (Compound("but not", Atom("exists", "dog"), Atom("exists", "toy")), "A dog is visible. A toy is not visible."),
        (Compound("and", Atom("exists", "toy"), Atom("exists", "dog")), "A toy is not visible."),
    ],
)
def test_facts_lead_to_the_truth(statement: Statement, text: str) -> None:
    assert rationale(KNIFE_AT_DOG, statement) == text


def test_facts_say_which_side_they_are_on() -> None:
    def sides(statement: Statement) -> list[bool]:
        return [fact.supports for fact in facts(KNIFE_AT_DOG, statement, all_parts=True)]

    assert sides(Atom("touching", "weapon", "man")) == [True, True, False]
    assert sides(Atom("sign_word", "LOVE")) == [False]
    assert sides(Compound("but not", Atom("exists", "dog"), Atom("exists", "toy"))) == [True, True]
    assert sides(Compound("and", Atom("exists", "toy"), Atom("exists", "dog"))) == [False, True]


def test_nothing_is_said_of_what_geometry_leaves_open() -> None:
    scene = _scene(("dog", 10, 10), ("cat", 10 + 40 + 18, 10))
    near = Atom("next_to", "dog", "cat")
    assert Truth(scene).of(near) == "undecided"
    assert rationale(scene, Compound("or", near, Atom("exists", "dog"))) == "A dog is visible. A cat is visible."
    with pytest.raises(ValueError, match="undecided"):
        rationale(scene, near)


def test_every_claim_of_every_rationale_is_true_of_the_scene() -> None:
    rng = np.random.default_rng(11)
    kinds, outcomes = set(), []
    for _ in range(150):
        scene = draw_scene(rng)
        asker, truth = Asker(scene, rng), Truth(scene)
        for _ in range(6):
            statement, _, outcome = asker.statement(wished_share=1.0)
            kinds.add(statement.kind if isinstance(statement, Atom) else statement.joint)
            outcomes.append(outcome == "satisfied")
            claims = read_claims(rationale(scene, statement))
            assert claims is not None
            for claim in claims:
                assert truth.of(claim.atom) == ("satisfied" if claim.affirmed else "rejected"), claim
    assert len(kinds) == 13
    assert 0.4 < np.mean(outcomes) < 0.6


def test_claims_are_read_back() -> None:
    claims = read_claims(
        "An animal is visible: a dog, a dog and a cat. Fire is not visible. A dog touches a cat. "
        "A dog is not next to fire. A dog touches a sign. Hateful words: none."
    )
    said = [("exists", "animal", ""), ("two", "dog", ""), ("exists", "cat", ""), ("exists", "fire", "")]
    said += [("touching", "dog", "cat"), ("next_to", "dog", "fire"), ("sign_kind", "hateful", "")]
    denied = {("exists", "fire", ""), ("sign_kind", "hateful", ""), ("next_to", "dog", "fire")}
    assert claims == tuple(Claim(Atom(*each), each not in denied) for each in said)  # type: ignore[arg-type]
    assert read_claims(scope_rationale()) == (Claim(Atom("stickers"), affirmed=False),)


@pytest.mark.parametrize(
    "text",
    ["", " ", "A DOG is visible.", "A dog is visible", "<image>", "A dog is visible. It is mine.",
     "A dog touches.", "A dog and a cat is visible.", "A sign says <image>.", "A dog is visible. Yes"],
)  # fmt: skip
def test_other_words_are_not_read(text: str) -> None:
    assert read_claims(text) is None


@pytest.fixture(scope="module")
def processor():  # type: ignore[no-untyped-def]
    return AutoProcessor.from_pretrained(model_path("stickers-vlm"))  # type: ignore[no-untyped-call]


def test_training_turns_are_the_prompts_of_the_engine(processor) -> None:  # type: ignore[no-untyped-def]
    tokenizer: PreTrainedTokenizerFast = processor.tokenizer
    sentences = ("A weapon touches an animal.", "There is a dog, but it is not true that a toy is visible.")
    thoughts = ("A toy is not visible.", "A dog is visible. A toy is not visible.")
    rows = [
        Question(reasoning_prompt(s, ()).messages[0].text, "Yes", "reason", r, learned=learned)
        for s, r, learned in zip(sentences, thoughts, (True, False), strict=True)
    ]
    packed = Packer(tokenizer).pack([rows], "reason", pictures=1)
    encoder = PromptEncoder(processor)
    frames = (Frame(0, 0.0, np.zeros((144, 144, 3), np.uint8)),)
    prefix = packed.ids[0][packed.groups[0] == 0].tolist()
    yes = tokenizer.convert_tokens_to_ids("Yes")
    for number, (sentence, thought) in enumerate(zip(sentences, thoughts, strict=True), start=1):
        inside = packed.groups[0] == number
        ids, targets = prefix + packed.ids[0][inside].tolist(), packed.targets[0][inside].tolist()
        first = encoder.encode(reasoning_prompt(sentence, frames))["input_ids"][0].tolist()
        second = encoder.encode(conclusion_prompt(sentence, thought, frames))["input_ids"][0].tolist()
        said = tokenizer(thought + "<end_of_utterance>", add_special_tokens=False)["input_ids"]
        said = said if number == 1 else [-100] * len(said)  # a wrong rationale is read, not learned
        assert ids == second
        assert ids[: len(first)] == first
        assert packed.positions[0][inside].tolist() == list(range(len(prefix), len(second)))
        learned = [-100] * (len(first) - 1) + said + [-100] * (len(second) - len(first) - len(said)) + [yes]
        assert targets == learned[len(prefix) :]
        assert packed.weights[0][inside][-1] == 1.0


@pytest.mark.parametrize("task", ["debate", "clip"])
def test_debates_and_clips_are_trained_on_the_prompts_of_the_engine(processor, task: Literal["debate", "clip"]) -> None:  # type: ignore[no-untyped-def]
    tokenizer: PreTrainedTokenizerFast = processor.tokenizer
    count = 1 if task == "debate" else 3
    frames = tuple(Frame(number, number / 10, np.zeros((144, 144, 3), np.uint8)) for number in range(count))
    sentence, answer = "At some moment a dog is visible.", "No, a dog is not visible."
    subject = Subject("precondition", (sentence,), evidence="a first look found this 40 % likely.")
    if task == "debate":
        prompt = debate_prompt(subject, "judge", [("affirmative", "A dog."), ("negative", "No dog.")], frames)
    else:
        prompt = clip_prompt(sentence, frames)
    question = Question(prompt.messages[0].text, answer if task == "debate" else "No", task, said=task == "debate")
    packed = Packer(tokenizer).pack([[question]], task, pictures=count)
    asked = PromptEncoder(processor).encode(prompt)["input_ids"][0].tolist()
    wanted = tokenizer(answer + "<end_of_utterance>", add_special_tokens=False)["input_ids"]
    wanted = wanted if task == "debate" else wanted[:1]
    assert packed.ids[0].tolist() == asked + wanted[:-1]
    assert packed.targets[0].tolist() == [-100] * (len(asked) - 1) + wanted
    assert packed.weights[0][len(asked) - 1] == 1.0


def test_reasoning_batches_carry_pictures_and_balanced_answers(processor, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("judge.stickers.streams._TASKS", (("reason", 1.0),))
    stream = iter(PackedStream(5, 24, 16, processor.tokenizer))
    yes, no = (processor.tokenizer.convert_tokens_to_ids(word) for word in ("Yes", "No"))
    last: list[int] = []
    for _ in range(4):
        packed, dense = next(stream)
        assert dense is not None
        assert packed.groups.max() == REASONINGS
        for row, groups in zip(packed.targets, packed.groups, strict=True):
            last += [int(row[groups == number][-1]) for number in range(1, int(groups.max()) + 1)]
    assert set(last) == {yes, no}
    assert 0.35 < np.mean([token == yes for token in last]) < 0.6
    assert packed.ids.shape[1] < 420
