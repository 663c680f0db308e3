"""Calls that are asked together: each gets its own answer, whatever happens to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from judge.engines.scripted import ScriptedEngine
from judge.errors import EngineError
from judge.types import ChoiceProbabilities, Message, Prompt
from serve.batching import BatchingEngine
from tests.serve.making import HeldEngine


def ask(question: str) -> Prompt:
    return Prompt((Message("user", question),))


def words(engine: ScriptedEngine) -> list[list[str]]:
    return [[prompt.messages[0].text for prompt in call.prompts] for call in engine.calls]


def yes(answers: Sequence[ChoiceProbabilities]) -> list[float]:
    return [answer.probabilities["Yes"] for answer in answers]


NUMBERS = ScriptedEngine({"one": 0.1, "two": 0.2, "three": 0.3, "four": 0.4})


async def test_calls_at_the_same_time_are_one_batch_and_each_gets_its_own_answers() -> None:
    inside = ScriptedEngine({"one": 0.1, "two": 0.2, "three": 0.3})
    engine = BatchingEngine(inside, most=8, wait_s=0.01)
    found = await asyncio.gather(engine.choose([ask("one"), ask("two")]), engine.choose([ask("three")]))
    assert [yes(answers) for answers in found] == [[0.1, 0.2], [0.3]]
    assert words(inside) == [["one", "two", "three"]]


async def test_a_batch_is_bounded_by_prompts_and_a_larger_call_is_asked_alone() -> None:
    inside = ScriptedEngine(default=0.5)
    engine = BatchingEngine(inside, most=3, wait_s=0.01)
    calls = [["a", "b"], ["c", "d"], ["e"], ["f", "g", "h", "i"]]
    await asyncio.gather(*(engine.choose([ask(word) for word in call]) for call in calls))
    assert words(inside) == [["a", "b", "e"], ["c", "d"], ["f", "g", "h", "i"]]


async def test_other_choices_are_another_batch() -> None:
    inside = ScriptedEngine(default=0.5)
    engine = BatchingEngine(inside, most=8, wait_s=0.01)
    found = await asyncio.gather(
        engine.choose([ask("a")]), engine.choose([ask("b")], ("A", "B", "C")), engine.choose([ask("c")])
    )
    assert [list(answers[0].probabilities) for answers in found] == [["Yes", "No"], ["A", "B", "C"], ["Yes", "No"]]
    assert words(inside) == [["a", "c"], ["b"]]


async def test_one_bad_call_spoils_no_other() -> None:
    inside = ScriptedEngine({"bad": EngineError("too long"), "good": 0.9})
    engine = BatchingEngine(inside, most=8, wait_s=0.01)
    good, bad, also_good = await asyncio.gather(
        *(engine.choose([ask(word)]) for word in ("good", "bad", "good")), return_exceptions=True
    )
    assert isinstance(bad, EngineError)
    assert [yes(found) for found in (good, also_good) if isinstance(found, list)] == [[0.9], [0.9]]


async def test_what_is_cancelled_while_it_waits_is_never_asked() -> None:
    inside = HeldEngine()
    engine = BatchingEngine(inside, most=8, wait_s=0.0)
    running = asyncio.create_task(engine.choose([ask("first")]))
    await inside.asked.wait()
    waiting = [asyncio.create_task(engine.choose([ask(word)])) for word in ("second", "third")]
    await asyncio.sleep(0.01)
    waiting[0].cancel()
    inside.let_go.set()
    await asyncio.gather(running, *waiting, return_exceptions=True)
    assert words(inside) == [["first"], ["third"]]


async def test_a_caller_who_leaves_a_running_batch_takes_nothing_from_the_others() -> None:
    inside = HeldEngine()
    engine = BatchingEngine(inside, most=8, wait_s=0.01)
    leaving, staying = (asyncio.create_task(engine.choose([ask(word)])) for word in ("a", "b"))
    await inside.asked.wait()
    leaving.cancel()
    await asyncio.sleep(0)
    inside.let_go.set()
    assert yes(await staying) == [0.5]
    assert inside.cancelled == 0


async def test_texts_wait_for_their_turn() -> None:
    inside = ScriptedEngine(default=0.5, default_generation="Well.")
    engine = BatchingEngine(inside, most=8, wait_s=0.0)
    _, (text,) = await asyncio.gather(engine.choose([ask("a")]), engine.generate([ask("b")], max_tokens=4))
    assert text.text == "Well."
    assert [call.method for call in inside.calls] in (["choose", "generate"], ["generate", "choose"])


async def test_closing_fails_what_waits() -> None:
    inside = HeldEngine()
    engine = BatchingEngine(inside, most=1, wait_s=0.0)
    calls = [asyncio.create_task(engine.choose([ask(word)])) for word in ("a", "b")]
    await inside.asked.wait()
    await engine.close()
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in found] == [EngineError, EngineError]


@pytest.mark.parametrize("choices", [(), ("Yes", "Yes")])
async def test_wrong_choices_are_refused(choices: tuple[str, ...]) -> None:
    engine = BatchingEngine(NUMBERS, most=8, wait_s=0.0)
    with pytest.raises(EngineError, match="choices"):
        await engine.choose([ask("one")], choices)
