"""The slow path: the model reasons about one statement in words, and then answers Yes or No behind its own reasoning.

CLUE's second turn asks for a rating in JSON. Ours ends in the same constrained reading as the fast path: that needs no
parser and no retry, its label mass shows when the model did not want to answer, and it gives a probability that the
rules' scores and fitted thresholds can use. No prior is taken off it: behind its reasoning the model no longer answers
from the words of the statement alone.
Source: CLUE (arXiv 2501.00192); section 3.4 for the crop.
"""

from __future__ import annotations

from collections.abc import Sequence

from judge.config import ReasoningSettings, Thresholds
from judge.debias import settle
from judge.engines.base import Engine
from judge.errors import AnswerError
from judge.prompts.posted import with_posted
from judge.prompts.render import conclusion_prompt, reasoning_prompt
from judge.stages.escalation import Limits, OpenQuestion, Settlement, view
from judge.stages.questions import choose, read_yes, with_reference, write
from judge.types import ChoiceProbabilities, Evidence, Generation, Prompt, Usage


class ChainOfThought:
    """The stage, bound to an engine that can write. See `judge.stages.escalation.SlowStage`.

    Args:
        engine: Asked greedily, so that the same question gives the same reasoning.
        settings: How much may be written.
        thresholds: `accept`, `reject` and `min_mass` count, whatever the preset.
    """

    name = "chain of thought"
    model_digest = ""
    one_at_a_time = True
    tests_satisfied = False
    takes_clips = False

    def __init__(self, engine: Engine, settings: ReasoningSettings, thresholds: Thresholds) -> None:
        self._engine = engine
        self._settings = settings
        self._thresholds = thresholds.model_copy(update={"preset": "none"})

    @property
    def limits(self) -> Limits:
        return Limits(self._settings.max_generations, self._settings.token_budget)

    async def settle(self, questions: Sequence[OpenQuestion]) -> list[Settlement]:
        """All reasoning in one call, then all conclusions in one.

        What cannot be read leaves its own question undecided, with the reason and the probability it had.
        """
        frames = [view(question) for question in questions]
        pairs = list(zip(questions, frames, strict=True))
        asked_first = [
            with_posted(reasoning_prompt(each.precondition.statement, (frame,)), each.text) for each, frame in pairs
        ]
        texts = await write(self._engine, asked_first, self._settings.max_tokens, 0.0)
        prompts = [
            with_posted(conclusion_prompt(each.precondition.statement, text.text, (frame,)), each.text)
            for (each, frame), text in zip(pairs, texts, strict=True)
        ]
        reasoned = [bool(text.text.strip()) for text in texts]
        asked = [prompt for prompt, written in zip(prompts, reasoned, strict=True) if written]
        answers = iter(await choose(self._engine, asked))
        return [
            self._settlement(question, prompt, text, next(answers) if written else None)
            for question, prompt, text, written in zip(questions, prompts, texts, reasoned, strict=True)
        ]

    def _settlement(
        self, question: OpenQuestion, prompt: Prompt, text: Generation, answer: ChoiceProbabilities | None
    ) -> Settlement:
        evidence = question.evidence.model_copy(
            update={
                "stage": "chain_of_thought",
                "rationale": text.text,
                "template_digest": prompt.template_digest,
                **self._found(question.evidence, text, answer),
            }
        )
        usage = Usage(
            prompt_tokens=text.prompt_tokens + (answer.prompt_tokens if answer else 0),
            completion_tokens=text.completion_tokens,
            questions=1 if answer else 0,
            generations=1,
        )
        return Settlement(evidence, usage)

    def _found(self, before: Evidence, text: Generation, answer: ChoiceProbabilities | None) -> dict[str, object]:
        """The fields of the evidence that follow from the answer; None = there was no reasoning to conclude from."""
        if answer is None:
            return {"outcome": "undecided", "reason": "the model wrote no reasoning"}
        try:
            read = read_yes(answer)
        except AnswerError as error:
            return {"outcome": "undecided", "reason": f"after reasoning, {error.message}"}
        settled = settle(read, self._thresholds)
        reason = f"after reasoning, {settled.reason}" if settled.reason else ""
        if reason and text.finish_reason == "length":
            reason += f"; the reasoning was cut off after {text.completion_tokens} tokens"
        return {
            "outcome": settled.outcome,
            "probability": settled.probability,
            "readings": with_reference(before.readings, "reasoned", read.observed),
            "reason": reason,
        }
