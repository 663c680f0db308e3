"""Batches: one call, order kept, a failure costs only itself, an unreadable answer is asked for again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from judge.authoring.answers import CaseReview, Rewriting
from judge.authoring.ask import Asker, Question
from judge.engines.base import JsonSchema
from judge.engines.scripted import ScriptedEngine, Written
from judge.errors import AnswerError, EngineError
from judge.types import Generation, Message, Prompt, Usage


def question(text: str, temperature: float = 0.0) -> Question[Rewriting]:
    return Question(Prompt((Message("user", text),)), Rewriting, temperature)


def written(text: str) -> str:
    return f'{{"statement": "{text}"}}'


def engine(**answers: Written) -> ScriptedEngine:
    return ScriptedEngine(generations=answers)


async def test_one_call_in_order() -> None:
    model = engine(one=written("1"), two=written("2"), three=written("3"))
    asker = Asker(model)
    assert await asker.ask([question(text) for text in ("two", "one", "three", "one")]) == [
        Rewriting(statement=text) for text in ("2", "1", "3", "1")
    ]
    assert [len(call.prompts) for call in model.calls] == [4]
    assert asker.usage == Usage(prompt_tokens=4, completion_tokens=8, questions=4)
    assert await asker.ask([]) == []
    assert len(model.calls) == 1


async def test_a_failing_question_spoils_no_other() -> None:
    model = engine(good=written("fine"), broken=EngineError("out of memory"), secret=AnswerError("withheld"))
    texts = ["good", "broken", "good", "good", "secret", "good"]
    answers = await Asker(model).ask([question(text) for text in texts])
    assert [str(each) if isinstance(each, Exception) else each.statement for each in answers] == [
        "fine", "out of memory", "fine", "fine", "withheld", "fine",
    ]  # fmt: skip


async def test_an_unreadable_answer_is_asked_for_again_with_what_was_wrong() -> None:
    def second_time(prompt: Prompt) -> str:
        return written("fine") if "could not be read" in prompt.messages[-1].text else 'Sure! "fine"'

    model = engine(slow=second_time, good=written("well"))
    answers = await Asker(model).ask([question("good"), question("slow")])
    assert answers == [Rewriting(statement="well"), Rewriting(statement="fine")]
    (again,) = model.calls[1].prompts
    assert again.messages[0].text == (
        "slow\n\nYou answered this before, and the answer could not be read.\n"
        'Your answer began: "Sure! \\"fine\\""\n'
        'What was wrong: "the answer is not one JSON object: Expecting value: line 1 column 1 (char 0)"\n'
        "Answer again, in the form asked for above."
    )


async def test_what_stays_unreadable_is_given_up_after_the_cap() -> None:
    model = engine(bad="nonsense", good=written("well"))
    answers = await Asker(model, max_attempts=3).ask([question("bad"), question("good")])
    assert isinstance(answers[0], AnswerError)
    assert answers[1] == Rewriting(statement="well")
    assert [len(call.prompts) for call in model.calls] == [2, 1, 1]
    # Each repetition quotes the last answer only, so that prompts do not grow.
    assert model.calls[1].prompts == model.calls[2].prompts


async def test_a_text_at_the_limit_is_unreadable() -> None:
    (answer,) = await Asker(engine(long=written("a b c d e f")), max_tokens=3).ask([question("long")])
    assert isinstance(answer, AnswerError)
    assert "cut off after 3 tokens" in str(answer)


async def test_temperatures_are_asked_apart() -> None:
    model = engine(one=written("1"))
    await Asker(model).ask([question("one"), question("one", 0.7), question("one")])
    assert [len(call.prompts) for call in model.calls] == [2, 1]


class _Constrained(ScriptedEngine):
    """Takes a schema, as engines do that can be held to one."""

    def __init__(self, generations: Mapping[str, Written]) -> None:
        super().__init__(generations=generations)
        self.schemas: list[Mapping[str, object] | None] = []
        self.refuses = False

    async def generate(
        self,
        prompts: Sequence[Prompt],
        *,
        max_tokens: int,
        temperature: float = 0.0,
        json_schema: JsonSchema | None = None,
    ) -> list[Generation]:
        self.schemas.append(json_schema)
        if json_schema is not None and self.refuses:
            raise EngineError("no schemas here")
        return await super().generate(prompts, max_tokens=max_tokens, temperature=temperature)


async def test_an_engine_that_can_be_held_to_a_schema_is() -> None:
    case = '{"explanation": "x", "breaks_rule": "no"}'
    model = _Constrained({"bad": "nonsense", "one": written("1"), "case": case})
    questions: list[Question[Rewriting | CaseReview]] = [
        question("one"), Question(Prompt((Message("user", "case"),)), CaseReview), question("one"),
    ]  # fmt: skip
    answers = await Asker(model).ask(questions)
    assert answers == [
        Rewriting(statement="1"), CaseReview(explanation="x", breaks_rule="no"), Rewriting(statement="1"),
    ]  # fmt: skip
    assert model.schemas == [Rewriting.model_json_schema(), CaseReview.model_json_schema()]
    assert [len(call.prompts) for call in model.calls] == [2, 1]
    # What comes back is read as strictly: a promise of an engine is no proof.
    assert isinstance((await Asker(model).ask([question("bad")]))[0], AnswerError)


async def test_a_server_that_takes_no_schema_is_asked_without() -> None:
    model = _Constrained({"bad": "nonsense", "broken": EngineError("gone"), "one": written("1")})
    model.refuses = True
    asker = Asker(model)
    texts = ("one", "broken", "one", "one")
    answers = await asker.ask([question(text) for text in texts])
    assert [str(each) if isinstance(each, Exception) else each.statement for each in answers] == [
        "1", "gone", "1", "1",
    ]  # fmt: skip
    n_calls = len(model.schemas)
    await asker.ask([question("one")])
    assert model.schemas[n_calls:] == [None]


async def test_a_question_that_fails_either_way_does_not_end_the_use_of_schemas() -> None:
    model = _Constrained({"broken": EngineError("gone"), "one": written("1")})
    asker = Asker(model)
    await asker.ask([question("broken")])
    await asker.ask([question("one")])
    assert model.schemas[-1] == Rewriting.model_json_schema()
