"""Puts a batch of questions to an engine and reads the answers. A question that fails costs only itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from judge.authoring.answers import Answer, read_answer
from judge.authoring.render import retry_prompt
from judge.engines.base import Engine
from judge.errors import AnswerError, EngineError
from judge.types import Generation, Prompt, Usage

A_co = TypeVar("A_co", bound=Answer, covariant=True)
A = TypeVar("A", bound=Answer)

Unanswered = AnswerError | EngineError
"""Why there is no answer: it cannot be read (or was withheld), or the engine failed."""


@dataclass(frozen=True, slots=True)
class Question(Generic[A_co]):
    """One prompt and the form of its answer."""

    prompt: Prompt
    answer: type[A_co]
    temperature: float = 0.0


class Asker:
    """Asks one engine.

    Args:
        engine: Anything with `generate`; held to the answer's schema where it says that it can be.
        max_tokens: Longest answer.
        max_attempts: How often a question is put in all; each time after the first says what was wrong.

    Attributes:
        usage: Spent so far, in texts that came back.
    """

    def __init__(self, engine: Engine, *, max_tokens: int = 2048, max_attempts: int = 3) -> None:
        assert max_attempts >= 1
        self._engine = engine
        self._structured = engine.capabilities.structured
        self._max_tokens = max_tokens
        self._max_attempts = max_attempts
        self.usage = Usage()

    async def ask(self, questions: Sequence[Question[A]]) -> list[A | Unanswered]:
        """One answer per question, order kept; never raises an `AnswerError` or `EngineError` itself."""
        found: dict[int, A | Unanswered] = {}
        waiting = dict(enumerate(questions))
        for _ in range(self._max_attempts):
            texts = await self._write(list(waiting.values())) if waiting else []
            again: dict[int, Question[A]] = {}
            for (row, question), text in zip(waiting.items(), texts, strict=True):
                if not isinstance(text, Generation):
                    found[row] = text
                    continue
                result = found[row] = _read(text, question)
                if isinstance(result, AnswerError):
                    prompt = retry_prompt(questions[row].prompt, text.text, result.message)
                    again[row] = replace(question, prompt=prompt)
            waiting = again
        return [found[row] for row in range(len(questions))]

    async def _write(self, questions: Sequence[Question[A]]) -> list[Generation | Unanswered]:
        """All questions in one call, or one call per temperature and schema."""
        groups: dict[tuple[float, type[Answer] | None], list[int]] = {}
        for row, question in enumerate(questions):
            key = (question.temperature, question.answer if self._structured else None)
            groups.setdefault(key, []).append(row)
        found: dict[int, Generation | Unanswered] = {}
        for (temperature, answer), rows in groups.items():
            texts = await self._generate([questions[row].prompt for row in rows], temperature, answer)
            found.update(zip(rows, texts, strict=True))
        return [found[row] for row in range(len(questions))]

    async def _generate(
        self, prompts: Sequence[Prompt], temperature: float, answer: type[Answer] | None
    ) -> list[Generation | Unanswered]:
        """Halves a batch that fails until the failing prompts stand alone.

        A schema is an aid: every answer is read as strictly without one. So where an engine fails with it and not
        without, as a server does that knows no schemas or ignores them, it is left out from then on.
        """
        answer = answer if self._structured else None
        try:
            texts = await _generate(self._engine, prompts, answer, max_tokens=self._max_tokens, temperature=temperature)
        except (AnswerError, EngineError) as error:
            if len(prompts) > 1:
                middle = len(prompts) // 2
                first = await self._generate(prompts[:middle], temperature, answer)
                return first + await self._generate(prompts[middle:], temperature, answer)
            if answer is None:
                return [error]
            (found,) = await self._generate(prompts, temperature, None)
            self._structured = not isinstance(found, Generation)
            return [found]
        self._count(texts)
        return list(texts)

    def _count(self, texts: Sequence[Generation]) -> None:
        for text in texts:
            self.usage += Usage(prompt_tokens=text.prompt_tokens, completion_tokens=text.completion_tokens, questions=1)


async def _generate(
    engine: Engine, prompts: Sequence[Prompt], answer: type[Answer] | None, *, max_tokens: int, temperature: float
) -> list[Generation]:
    """Held to the schema of `answer`, unless that is None."""
    if answer is None:
        return await engine.generate(prompts, max_tokens=max_tokens, temperature=temperature)
    return await engine.generate(
        prompts, max_tokens=max_tokens, temperature=temperature, json_schema=answer.model_json_schema()
    )


def _read(text: Generation, question: Question[A]) -> A | AnswerError:
    try:
        return read_answer(text, question.answer)
    except AnswerError as error:
        return error
