"""The contract of `judge.engines.base.Engine`, for every engine.

The tolerance between batched and single, shared and plain: 1e-4 in probability at float32, 0.01 at bfloat16 (for
models as shallow as these; a deep one may round away more).
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from judge.engines.base import Engine
from judge.engines.scripted import ScriptedEngine
from judge.engines.transformers import TransformersEngine
from judge.errors import EngineError
from judge.types import ChoiceProbabilities, Frame, Message, Prompt
from tests.contracts.plain_reference import PlainReference
from tests.contracts.tiny_tiled_models import TILED_BUILDERS

TOLERANCE = 1e-4
BFLOAT16_TOLERANCE = 0.01
QUESTIONS = (
    "Is there a dog?",
    "Is there a cat next to a person who holds a bottle of wine?",
    "Statement: a house is burning. Answer Yes or No.",
)


def frame(seed: int, height_px: int = 40, width_px: int = 56) -> Frame:
    pixels = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), dtype=np.uint8)
    return Frame(0, 0.0, pixels)


FRAMES = (frame(1), frame(2, 90, 30), frame(3, 17, 200))


def ask(question: str, *frames: Frame) -> Prompt:
    return Prompt((Message("user", question),), frames)


def choose(engine: Engine, prompts: list[Prompt]) -> list[ChoiceProbabilities]:
    return asyncio.run(engine.choose(prompts))


def assert_same(found: list[ChoiceProbabilities], expected: list[ChoiceProbabilities]) -> None:
    assert [answer.prompt_tokens for answer in found] == [answer.prompt_tokens for answer in expected]
    assert [answer.mass for answer in found] == pytest.approx([answer.mass for answer in expected], abs=TOLERANCE)
    assert [answer.probabilities["Yes"] for answer in found] == pytest.approx(
        [answer.probabilities["Yes"] for answer in expected], abs=TOLERANCE
    )


def batch(engine: Engine) -> list[Prompt]:
    """Every question about three images of different sizes, one twice, and without an image where that works."""
    prompts = [ask(question, picture) for picture in FRAMES for question in QUESTIONS]
    prompts.append(ask(QUESTIONS[0], frame(1)))  # equal pixels in another array
    if engine.capabilities.text_only:
        prompts += [ask(question) for question in QUESTIONS]
    return prompts


def test_probabilities_are_over_the_choices_and_sum_to_one(engine: Engine) -> None:
    for answer in choose(engine, batch(engine)):
        assert list(answer.probabilities) == ["Yes", "No"]
        assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-12)
        assert 0.0 < answer.mass <= 1.0
        assert answer.prompt_tokens > 0


def test_order_is_kept_under_shuffling(engine: Engine) -> None:
    prompts = batch(engine)
    expected = choose(engine, prompts)
    order = list(range(len(prompts)))
    random.Random(5).shuffle(order)
    found = choose(engine, [prompts[i] for i in order])
    assert_same(found, [expected[i] for i in order])


def test_an_answer_does_not_depend_on_its_batch(engine: Engine) -> None:
    prompts = batch(engine)
    assert_same(choose(engine, prompts), [choose(engine, [prompt])[0] for prompt in prompts])


def test_equal_prompts_get_equal_answers(engine: Engine) -> None:
    first, other, second = choose(
        engine,
        [ask(QUESTIONS[0], frame(1)), ask(QUESTIONS[1]), ask(QUESTIONS[0], frame(1))]
        if engine.capabilities.text_only
        else [ask(QUESTIONS[0], frame(1)), ask(QUESTIONS[1], frame(2)), ask(QUESTIONS[0], frame(1))],
    )
    assert first == second
    assert first != other


def test_an_empty_batch_gives_an_empty_list(engine: Engine) -> None:
    assert asyncio.run(engine.choose([])) == []
    assert asyncio.run(engine.generate([], max_tokens=4)) == []


@pytest.mark.parametrize("choices", [(), ("Yes", "Yes")], ids=["none", "twice"])
def test_choices_that_are_no_choice_are_refused(engine: Engine, choices: tuple[str, ...]) -> None:
    with pytest.raises(EngineError, match="choices"):
        asyncio.run(engine.choose([ask(QUESTIONS[0], frame(1))], choices))


def test_too_many_frames_are_refused(engine: Engine) -> None:
    limit = engine.capabilities.max_frames
    with pytest.raises(EngineError, match=f"takes {limit} frames in a prompt, not {limit + 1}"):
        choose(engine, [ask(QUESTIONS[0], *[frame(1)] * (limit + 1))])


def test_a_prompt_that_asks_nothing_spoils_its_batch(engine: Engine) -> None:
    with pytest.raises(EngineError, match="asks nothing"):
        choose(engine, [ask(QUESTIONS[0], frame(1)), Prompt((), (frame(1),))])


def test_prompts_without_a_frame_are_answered_or_refused_as_declared(engine: Engine) -> None:
    if engine.capabilities.text_only:
        (answer,) = choose(engine, [ask(QUESTIONS[0])])
        assert sum(answer.probabilities.values()) == pytest.approx(1.0, abs=1e-12)
    else:
        with pytest.raises(EngineError, match="without a frame"):
            choose(engine, [ask(QUESTIONS[0])])


def test_generation_stops_at_the_limit(load_engine: Callable[[str], Engine], model_name: str) -> None:
    engine = load_engine(model_name)
    found = asyncio.run(engine.generate([ask(QUESTIONS[0], frame(1)), ask(QUESTIONS[1], frame(2))], max_tokens=3))
    assert [(text.finish_reason, text.completion_tokens) for text in found] == [("length", 3), ("length", 3)]


def test_texts_about_one_image_share_it_and_read_as_if_written_alone(
    model_engine: TransformersEngine, reference: PlainReference
) -> None:
    prompts = [ask(question, frame(1)) for question in QUESTIONS]
    alone = [asyncio.run(model_engine.generate([prompt], max_tokens=4))[0] for prompt in prompts]
    with counted_pixels(model_engine) as counts:
        together = asyncio.run(model_engine.generate(prompts, max_tokens=4))
    assert together == alone
    assert model_engine._writer is not None
    assert sum(counts) == n_pixels(reference, frame(1)) * (1 if model_engine._writer.shares_frames else len(prompts))


def test_a_causal_decoder_shares_the_image_between_texts(load_engine: Callable[[str], Engine]) -> None:
    engine = load_engine("idefics3")
    assert isinstance(engine, TransformersEngine)
    asyncio.run(engine.generate([ask(QUESTIONS[0], frame(1))], max_tokens=1))
    assert engine._writer is not None
    assert engine._writer.shares_frames


@pytest.mark.parametrize("max_tokens", [0, -1])
def test_generation_of_nothing_is_refused(engine: Engine, max_tokens: int) -> None:
    with pytest.raises(EngineError, match="max_tokens"):
        asyncio.run(engine.generate([ask(QUESTIONS[0], frame(1))], max_tokens=max_tokens))


class Rating(BaseModel):
    """What a stage might want to know; its schema has what the engines' grammars share."""

    model_config = ConfigDict(extra="forbid", strict=True)

    rating: Literal["Yes", "No"]
    certainty: int = Field(ge=0, le=9)


RATING = Rating.model_json_schema()


def test_text_under_a_schema_fits_it_or_is_refused(engine: Engine) -> None:
    prompts = [ask(QUESTIONS[0], frame(1)), ask(QUESTIONS[1], frame(1)), ask(QUESTIONS[0], frame(2))]
    if not engine.capabilities.structured:
        with pytest.raises(EngineError, match="cannot be held to a JSON schema"):
            asyncio.run(engine.generate(prompts, max_tokens=64, json_schema=RATING))
        return
    for temperature in (0.0, 1.0):
        found = asyncio.run(engine.generate(prompts, max_tokens=64, temperature=temperature, json_schema=RATING))
        assert [text.finish_reason for text in found] == ["stop"] * 3
        for text in found:
            Rating.model_validate_json(text.text)


@pytest.mark.parametrize("schema", [{"minimum": math.nan}, {"enum": [object()]}], ids=["nan", "object"])
def test_a_schema_that_is_no_json_is_refused(engine: Engine, schema: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match="JSON schema") as caught:
        asyncio.run(engine.generate([ask(QUESTIONS[0], frame(1))], max_tokens=4, json_schema=schema))
    assert not caught.value.retryable


def test_text_under_a_schema_that_was_cut_off_says_so(engine: Engine) -> None:
    if not engine.capabilities.structured:
        pytest.skip("refused, see above")
    (found,) = asyncio.run(engine.generate([ask(QUESTIONS[0], frame(1))], max_tokens=2, json_schema=RATING))
    assert found.finish_reason == "length"
    with pytest.raises(ValidationError):
        Rating.model_validate_json(found.text)


def test_a_schema_does_not_touch_the_answers_beside_it(engine: Engine) -> None:
    """Nor their label mass: `choose` is never computed under a grammar."""
    if not engine.capabilities.structured:
        pytest.skip("refused, see above")
    prompts = [ask(question, frame(seed)) for question in QUESTIONS for seed in (1, 2)]
    expected = choose(engine, prompts)

    async def both() -> list[ChoiceProbabilities]:
        writing = asyncio.create_task(engine.generate(prompts, max_tokens=24, json_schema=RATING))
        answers = await engine.choose(prompts)
        await writing
        return answers

    assert_same(asyncio.run(both()), expected)


def test_concurrent_calls_about_different_images_do_not_mix(engine: Engine) -> None:
    prompts = [ask(QUESTIONS[0], frame(seed)) for seed in range(6)]
    expected = [choose(engine, [prompt])[0] for prompt in prompts]

    async def all_at_once() -> list[list[ChoiceProbabilities]]:
        return await asyncio.gather(*(engine.choose([prompt]) for prompt in prompts))

    assert_same([answers[0] for answers in asyncio.run(all_at_once())], expected)


# --- engines that run a model -------------------------------------------------------------------------------


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, {"not": {"type": "string"}}], ids=["wrong", "unenforceable"])
def test_a_schema_that_cannot_be_enforced_is_refused(
    model_engine: TransformersEngine, schema: dict[str, JsonValue]
) -> None:
    if not model_engine.capabilities.structured:
        pytest.skip("refused anyway")
    with pytest.raises(EngineError, match="cannot write under this JSON schema") as caught:
        asyncio.run(model_engine.generate([ask(QUESTIONS[0], frame(1))], max_tokens=4, json_schema=schema))
    assert not caught.value.retryable


@pytest.fixture(scope="session")
def load_reference(model_folder: Callable[[str], Path]) -> Callable[[str], PlainReference]:
    return cache(lambda name: PlainReference(model_folder(name)))


@pytest.fixture
def reference(load_reference: Callable[[str], PlainReference], model_name: str) -> PlainReference:
    return load_reference(model_name)


@pytest.fixture
def model_engine(load_engine: Callable[[str], Engine], model_name: str) -> TransformersEngine:
    engine = load_engine(model_name)
    assert isinstance(engine, TransformersEngine)
    return engine


def assert_honest(engine: Engine, reference: PlainReference, prompts: list[Prompt]) -> None:
    for prompt, answer in zip(prompts, choose(engine, prompts), strict=True):
        masses = reference.masses(prompt)
        mass = masses["Yes"] + masses["No"]
        assert answer.mass == pytest.approx(mass, abs=TOLERANCE)
        assert answer.probabilities["Yes"] == pytest.approx(masses["Yes"] / mass, abs=TOLERANCE)
        assert answer.prompt_tokens == reference.inputs(prompt)["input_ids"].shape[1]


def test_answers_are_those_of_one_full_forward_pass_each(
    model_engine: TransformersEngine, reference: PlainReference
) -> None:
    assert_honest(model_engine, reference, batch(model_engine))


def test_several_frames_in_one_prompt(model_engine: TransformersEngine, reference: PlainReference) -> None:
    pair, swapped = (frame(1), frame(2)), (frame(2), frame(1))
    prompts = [ask(question, *frames) for question in QUESTIONS for frames in (pair, swapped, pair[:1])]
    assert_honest(model_engine, reference, prompts)


def test_conversations_and_different_system_messages(
    model_engine: TransformersEngine, reference: PlainReference
) -> None:
    talks = [
        (Message("system", "Be strict."), Message("user", QUESTIONS[0])),
        (Message("system", "Be kind."), Message("user", QUESTIONS[0])),
        (Message("user", "Describe it."), Message("assistant", "A dog."), Message("user", QUESTIONS[1])),
    ]
    assert_honest(model_engine, reference, [Prompt(talk, (frame(1),)) for talk in talks])


@pytest.mark.parametrize("name", TILED_BUILDERS)
def test_images_of_a_batch_have_tensors_of_different_shapes(
    load_reference: Callable[[str], PlainReference], name: str
) -> None:
    """Guards the tests of whole batches: with equal shapes they would not show that those are kept apart."""
    reference = load_reference(name)
    shapes = {reference.inputs(ask(QUESTIONS[0], picture))["pixel_values"].shape for picture in FRAMES}
    assert len(shapes) > 1


def test_images_make_a_difference(model_engine: TransformersEngine) -> None:
    """Guards the tests above: with a blind model they would all pass."""
    first, second = choose(model_engine, [ask(QUESTIONS[0], frame(1)), ask(QUESTIONS[0], frame(2))])
    assert abs(first.mass - second.mass) + abs(first.probabilities["Yes"] - second.probabilities["Yes"]) > 5 * TOLERANCE


@contextmanager
def counted_pixels(engine: TransformersEngine) -> Iterator[list[int]]:
    """Pixel values per call that the vision encoder got."""
    assert engine._loaded is not None
    base = engine._loaded.model.base_model
    tower = next(part for name in ("vision_model", "vision_tower", "visual") if (part := getattr(base, name, None)))
    counts: list[int] = []

    def count(_module: torch.nn.Module, args: tuple[torch.Tensor, ...], kwargs: dict[str, torch.Tensor]) -> None:
        counts.append((args[0] if args else kwargs["pixel_values"]).numel())

    hook = tower.register_forward_pre_hook(count, with_kwargs=True)
    try:
        yield counts
    finally:
        hook.remove()


@contextmanager
def counted_passes(engine: TransformersEngine) -> Iterator[list[None]]:
    """An entry per forward pass of the whole model."""
    assert engine._loaded is not None
    model: Any = engine._loaded.model
    counts: list[None] = []
    hook = model.register_forward_pre_hook(lambda *_: counts.append(None))
    try:
        yield counts
    finally:
        hook.remove()


def n_pixels(reference: PlainReference, *frames: Frame) -> int:
    """Pixel values that the processor makes of each frame alone."""
    return sum(reference.inputs(ask(QUESTIONS[0], picture))["pixel_values"].numel() for picture in frames)


def test_each_image_is_encoded_once_per_batch(model_engine: TransformersEngine, reference: PlainReference) -> None:
    prompts = batch(model_engine)
    random.Random(3).shuffle(prompts)
    with counted_pixels(model_engine) as counts:
        choose(model_engine, prompts)
    assert sum(counts) == n_pixels(reference, *FRAMES)


def test_memory_for_one_question_at_a_time_changes_no_answer(
    model_engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [*batch(model_engine), *(ask(question, frame(4), frame(1)) for question in QUESTIONS)]
    with counted_passes(model_engine) as wide:
        expected = choose(model_engine, prompts)
    scorer = model_engine._scorer
    assert scorer is not None
    monkeypatch.setattr(scorer, "_budget", replace(scorer._budget, max_bytes=0))
    with counted_passes(model_engine) as narrow:
        assert_same(choose(model_engine, prompts), expected)
    n_groups = 5 if scorer.text_only else 4
    assert len(narrow) == 3 * n_groups + (n_groups if scorer.frames_way else 0)  # each prefix, then each question
    assert len(wide) < len(narrow) or not scorer.frames_way


def test_the_vision_encoder_gets_no_more_images_than_fit(
    model_engine: TransformersEngine, reference: PlainReference, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = [ask(QUESTIONS[0], frame(seed)) for seed in range(5)]
    expected = choose(model_engine, prompts)
    scorer = model_engine._scorer
    assert scorer is not None
    budget, image = scorer._budget, n_pixels(reference, frame(0))
    assert budget.patch_bytes
    two = replace(budget, patch_bytes=budget.max_bytes * budget.patch_values // (2 * image))
    monkeypatch.setattr(scorer, "_budget", two)
    with counted_pixels(model_engine) as counts:
        assert_same(choose(model_engine, prompts), expected)
    assert counts == ([2 * image, 2 * image, image] if scorer.frames_way else [image] * 5)


def test_an_image_is_encoded_once_even_behind_different_system_messages(
    model_engine: TransformersEngine, reference: PlainReference
) -> None:
    prompts = [
        Prompt((Message("system", system), Message("user", question)), (frame(1),))
        for system in ("Be strict.", "Be kind.")
        for question in QUESTIONS
    ]
    with counted_pixels(model_engine) as counts:
        choose(model_engine, prompts)
    assert sum(counts) == n_pixels(reference, frame(1))


@pytest.mark.parametrize("name", ["idefics3", "llava_bidirectional", "gemma3", "qwen2_5_vl", "internvl"])
def test_in_bfloat16_shared_answers_are_near_those_of_one_pass_each(
    model_folder: Callable[[str], Path], name: str
) -> None:
    """Both are in bfloat16: what is left is rounding, in another order. Largest seen here: 0.003."""
    engine = TransformersEngine(str(model_folder(name)), batch_size=8, device="cpu", dtype="bfloat16")
    plain = PlainReference(model_folder(name), torch.bfloat16)
    for prompt, answer in zip(batch(engine), choose(engine, batch(engine)), strict=True):
        masses = plain.masses(prompt)
        expected = masses["Yes"] / (masses["Yes"] + masses["No"])
        assert answer.probabilities["Yes"] == pytest.approx(expected, abs=BFLOAT16_TOLERANCE)


def test_greedy_text_is_that_of_the_plain_loop(
    model_engine: TransformersEngine, model_name: str, reference: PlainReference
) -> None:
    if model_name in ("paligemma", "llava_bidirectional"):
        pytest.skip("tokens see later ones: transformers' own cached generation differs from a loop without cache")
    prompts = [ask(QUESTIONS[0], frame(1)), ask(QUESTIONS[1], frame(2)), ask(QUESTIONS[0])]
    expected = [
        reference.processor.tokenizer.decode(reference.greedy(prompt, 6), skip_special_tokens=True).strip()
        for prompt in prompts
    ]
    assert [text.text for text in asyncio.run(model_engine.generate(prompts, max_tokens=6))] == expected


def test_sampling_is_reproducible_and_copies_of_a_prompt_are_different_samples(
    model_engine: TransformersEngine,
) -> None:
    prompts = [ask(QUESTIONS[0], frame(1))] * 4
    state = torch.random.get_rng_state()
    first = asyncio.run(model_engine.generate(prompts, max_tokens=8, temperature=1.5))
    assert asyncio.run(model_engine.generate(prompts, max_tokens=8, temperature=1.5)) == first
    assert len({text.text for text in first}) > 1
    assert torch.equal(torch.random.get_rng_state(), state)


def test_only_engines_that_claim_it_are_scripted(load_engine: Callable[[str], Engine]) -> None:
    """A verdict names its model: the table must never pass for one."""
    engine = load_engine("scripted")
    assert isinstance(engine, ScriptedEngine)
    assert engine.info.name == "scripted"


def test_one_question_about_many_images(model_engine: TransformersEngine, reference: PlainReference) -> None:
    """The whole prompt is the shared prefix here."""
    assert_honest(model_engine, reference, [ask(QUESTIONS[1], frame(seed, 30 + seed)) for seed in range(11)])
