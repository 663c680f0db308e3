"""The fast path: one yes/no token per precondition and frame, read as a probability and debiased.

All questions of a batch, with and without image, go to the engine in one call, frame by frame, so that an
engine can encode each frame once.
Source: CLUE (arXiv 2501.00192), section 3.4.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from judge.config import Thresholds
from judge.debias import needs_prior
from judge.engines.base import Engine
from judge.errors import AnswerError
from judge.prompts.render import precondition_prompt
from judge.stages.prior_store import PriorKey, PriorStore
from judge.stages.questions import Question, choose, read_yes, to_evidence
from judge.types import ChoiceProbabilities, Evidence, Frame, Prompt, Usage


@dataclass(frozen=True, slots=True)
class FrameQuestions:
    """The statements to ask about one frame, by precondition id."""

    frame: Frame
    statements: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FrameAnswers:
    """Evidence for every statement asked, by precondition id.

    `usage` counts the questions about this frame. The text-only ones are not part of it: they are asked once
    per model and statement, whatever the media, and equal verdicts must not differ by what was cached.
    """

    evidence: Mapping[str, Evidence]
    usage: Usage


class TokenProbability:
    """The stage, bound to one engine, one set of thresholds and one store of priors."""

    def __init__(self, engine: Engine, thresholds: Thresholds, priors: PriorStore) -> None:
        self._engine = engine
        self._thresholds = thresholds
        self._priors = priors

    async def ask(self, batch: Sequence[FrameQuestions]) -> list[FrameAnswers]:
        """Ask everything in one engine call; one entry per frame, in order.

        An answer that cannot be read makes its own precondition undecided and leaves the others alone.

        Raises:
            EngineError: The engine could not answer the batch.
        """
        keys = self._prior_keys(batch)
        unasked = [key for key in keys.values() if self._priors.get(key) is None]
        questions = [self._questions(each) for each in batch]
        prompts = [self._prompt(key.statement) for key in unasked]
        prompts += [question.prompt for of_frame in questions for question in of_frame]
        answers = await choose(self._engine, prompts)
        for key, answer in zip(unasked, answers, strict=False):
            self._keep_prior(key, answer)
        priors = {statement: self._priors.get(key) for statement, key in keys.items()}
        rest = iter(answers[len(unasked) :])
        return [self._read(of_frame, [next(rest) for _ in of_frame], priors) for of_frame in questions]

    def _prior_keys(self, batch: Sequence[FrameQuestions]) -> dict[str, PriorKey]:
        """By statement; empty if the preset reads no prior."""
        if not needs_prior(self._thresholds.preset):
            return {}
        info = self._engine.info
        return {
            statement: PriorKey(info.digest, info.runtime, self._prompt(statement).template_digest, statement)
            for statement in dict.fromkeys(text for each in batch for text in each.statements.values())
        }

    def _questions(self, of_frame: FrameQuestions) -> list[Question]:
        return [
            Question("token_probability", precondition_id, text, self._prompt(text, of_frame.frame))
            for precondition_id, text in of_frame.statements.items()
        ]

    def _prompt(self, statement: str, *frames: Frame) -> Prompt:
        return precondition_prompt(statement, frames, self._engine.info.question_format)

    def _keep_prior(self, key: PriorKey, answer: ChoiceProbabilities) -> None:
        try:
            self._priors.put(key, read_yes(answer).observed)
        except AnswerError:
            return  # nothing to store: the statement is undecided now and asked again next time

    def _read(
        self,
        questions: Sequence[Question],
        answers: Sequence[ChoiceProbabilities],
        priors: Mapping[str, float | None],
    ) -> FrameAnswers:
        evidence = {
            question.id: to_evidence(question, answer, self._thresholds, prior=priors.get(question.statement))
            for question, answer in zip(questions, answers, strict=True)
        }
        prompt_tokens = sum(answer.prompt_tokens for answer in answers)
        return FrameAnswers(evidence, Usage(prompt_tokens=prompt_tokens, questions=len(questions)))
