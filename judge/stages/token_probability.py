"""The fast path: one yes/no token per precondition and frame, read as a probability and debiased.

All questions of a batch go to the engine in one call, frame by frame, so that an engine can encode each frame once.
The references that the preset compares with are part of it: those that do not depend on the frame (no picture, a
blank one, noise) are read once per model and statement, and kept.
Source: CLUE (arXiv 2501.00192), section 3.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from judge.config import Thresholds
from judge.debias import references
from judge.engines.base import Engine
from judge.errors import AnswerError
from judge.media.views import blank_frame, noise_frame, noised
from judge.prompts.posted import text_prompt, with_posted
from judge.prompts.render import precondition_prompt, rule_prompt, template_digest
from judge.stages.prior_store import PriorKey, PriorStore
from judge.stages.questions import Question, choose, read_yes, to_evidence
from judge.types import ChoiceProbabilities, Evidence, Frame, Prompt, Reference, Usage


@dataclass(frozen=True, slots=True)
class FrameQuestions:
    """What to ask about one frame: statements by precondition id, and whole rules' statements by rule id.

    `text` was posted with it; without a frame, the statements are about the text itself.
    """

    frame: Frame | None
    statements: Mapping[str, str]
    rules: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True, slots=True)
class FrameAnswers:
    """Evidence for every statement asked, by precondition id, and for every whole rule, by rule id.

    `usage` counts the questions about this frame. Those of the references that do not depend on it are not part of
    it: they are asked once per model and statement, and equal verdicts must not differ by what was cached.
    """

    evidence: Mapping[str, Evidence]
    usage: Usage
    whole: Mapping[str, Evidence] = field(default_factory=dict)


class TokenProbability:
    """The stage, bound to one engine, one set of thresholds and one store of priors."""

    def __init__(self, engine: Engine, thresholds: Thresholds, priors: PriorStore) -> None:
        self._engine = engine
        self._thresholds = thresholds
        self._priors = priors
        self._references = references(thresholds)

    async def ask(self, batch: Sequence[FrameQuestions]) -> list[FrameAnswers]:
        """Ask everything in one engine call; one entry per frame, in order.

        An answer that cannot be read makes its own precondition undecided and leaves the others alone.

        Raises:
            EngineError: The engine could not answer the batch.
        """
        keys = self._constant_keys(batch)
        unasked = [key for key in keys if self._priors.get(key) is None]
        questions = [self._questions(each) for each in batch]
        noised_questions = [self._noised_questions(each) for each in batch]
        prompts = [self._reference_prompt(key) for key in unasked]
        prompts += [
            question.prompt
            for pair in zip(questions, noised_questions, strict=True)
            for of_frame in pair
            for question in of_frame
        ]
        answers = iter(await choose(self._engine, prompts))
        for key in unasked:
            self._keep(key, next(answers))
        return [
            self._read(of_frame, [next(answers) for _ in of_frame], noisy, [next(answers) for _ in noisy])
            for of_frame, noisy in zip(questions, noised_questions, strict=True)
        ]

    def _constant_keys(self, batch: Sequence[FrameQuestions]) -> list[PriorKey]:
        """Of every statement, the references that are the same for all media: no word of theirs is part of them."""
        asked = dict.fromkeys((text, each.frame is None) for each in batch for text in each.statements.values())
        return [
            self._key(statement, reference, of_text=of_text)
            for reference in self._references
            for statement, of_text in asked
            if reference == "none" or (reference != "noised" and not of_text)
        ]

    def _key(self, statement: str, reference: Reference, *, of_text: bool) -> PriorKey:
        info = self._engine.info
        digest = template_digest("text") if of_text else self._prompt(statement).template_digest
        return PriorKey(info.digest, info.runtime, digest, statement, reference)

    def _reference_prompt(self, key: PriorKey) -> Prompt:
        if key.template_digest == template_digest("text"):
            return text_prompt(key.statement)
        return self._prompt(key.statement, *_REFERENCE_FRAMES[key.reference]())

    def _noised_questions(self, of_frame: FrameQuestions) -> list[Question]:
        if "noised" not in self._references or of_frame.frame is None:
            return []
        return self._questions(FrameQuestions(noised(of_frame.frame), of_frame.statements))

    def _questions(self, of_frame: FrameQuestions) -> list[Question]:
        frame, words = of_frame.frame, of_frame.text
        if frame is None:
            return [
                Question("token_probability", id, statement, text_prompt(statement, words))
                for id, statement in of_frame.statements.items()
            ]
        style = self._engine.info.question_format
        return [
            *(
                Question("token_probability", id, statement, with_posted(self._prompt(statement, frame), words))
                for id, statement in of_frame.statements.items()
            ),
            *(
                Question("rule_whole", id, statement, with_posted(rule_prompt(statement, (frame,), style), words))
                for id, statement in of_frame.rules.items()
            ),
        ]

    def _prompt(self, statement: str, *frames: Frame) -> Prompt:
        return precondition_prompt(statement, frames, self._engine.info.question_format)

    def _keep(self, key: PriorKey, answer: ChoiceProbabilities) -> None:
        try:
            self._priors.put(key, read_yes(answer).observed)
        except AnswerError:
            return  # nothing to store: the statement is undecided now and asked again next time

    def _read(
        self,
        questions: Sequence[Question],
        answers: Sequence[ChoiceProbabilities],
        noisy_questions: Sequence[Question],
        noisy_answers: Sequence[ChoiceProbabilities],
    ) -> FrameAnswers:
        noisy = {question.id: answer for question, answer in zip(noisy_questions, noisy_answers, strict=True)}
        about: dict[str, Evidence] = {}
        whole: dict[str, Evidence] = {}
        for question, answer in zip(questions, answers, strict=True):
            if question.stage == "rule_whole":
                # A rule asked whole has no reference that means the same: it is read as it is.
                plain = self._thresholds.model_copy(update={"preset": "none"})
                whole[question.id] = to_evidence(question, answer, plain)
            else:
                found = self._reference_readings(question, noisy.get(question.id))
                about[question.id] = to_evidence(question, answer, self._thresholds, references=found)
        asked = [*answers, *noisy_answers]
        usage = Usage(prompt_tokens=sum(answer.prompt_tokens for answer in asked), questions=len(asked))
        return FrameAnswers(about, usage, whole)

    def _reference_readings(self, question: Question, noisy: ChoiceProbabilities | None) -> dict[Reference, float]:
        """What could be read; the debias rule says what is missing."""
        found: dict[Reference, float] = {}
        for reference in self._references:
            if reference != "noised":
                kept = self._priors.get(self._key(question.statement, reference, of_text=not question.prompt.frames))
                found |= {} if kept is None else {reference: kept}
            elif noisy is not None:
                with suppress(AnswerError):
                    found[reference] = read_yes(noisy).observed
        return found


_REFERENCE_FRAMES: dict[Reference, Callable[[], tuple[Frame, ...]]] = {
    "none": lambda: (),
    "blank": lambda: (blank_frame(),),
    "noise": lambda: (noise_frame(),),
}
