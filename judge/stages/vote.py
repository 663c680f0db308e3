"""The vote: independent judgements of one question, each with a reasoning of its own, and what they agree on.

About as dear as a debate, and the baseline that a debate must beat.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from judge.config import Thresholds, VoteSettings
from judge.engines.base import Engine
from judge.errors import AnswerError
from judge.odds import logit, sigmoid
from judge.prompts.posted import with_posted
from judge.prompts.render import conclusion_prompt, reasoning_prompt
from judge.stages.cast import check_writer
from judge.stages.debate import usage_of
from judge.stages.escalation import Limits, OpenQuestion, Settlement, view
from judge.stages.questions import choose, read_yes, with_reference, write
from judge.stages.speech import is_refusal
from judge.types import ChoiceProbabilities, Debate, Generation, Outcome, Turn


@dataclass(frozen=True, slots=True)
class Count:
    """What a vote comes to; `probability` is None where no voter could be read."""

    outcome: Outcome
    probability: float | None
    told: str
    """The count in words."""


class VoteStage:
    """The stage, bound to an engine that can write. See `judge.stages.escalation.SlowStage`.

    Raises:
        ConfigError: The engine cannot reason in words.
    """

    name = "vote"
    model_digest = ""
    one_at_a_time = True
    tests_satisfied = False
    takes_clips = False

    def __init__(self, engine: Engine, settings: VoteSettings, thresholds: Thresholds) -> None:
        check_writer(engine, "a vote")
        self._engine = engine
        self._settings = settings
        self._min_mass = thresholds.min_mass

    @property
    def limits(self) -> Limits:
        return Limits(self._settings.max_questions, self._settings.token_budget)

    async def settle(self, questions: Sequence[OpenQuestion]) -> list[Settlement]:
        """All reasoning in one call, then all conclusions in one. The engine samples equal prompts independently."""
        voters = [question for question in questions for _ in range(self._settings.voters)]
        asked = [
            with_posted(reasoning_prompt(each.precondition.statement, (view(each),)), each.text) for each in questions
        ]
        prompts = [prompt for prompt in asked for _ in range(self._settings.voters)]
        texts = await write(self._engine, prompts, self._settings.max_tokens, self._settings.temperature)
        concluding = [
            with_posted(conclusion_prompt(voter.precondition.statement, text.text, prompt.frames), voter.text)
            for voter, prompt, text in zip(voters, prompts, texts, strict=True)
            if not is_refusal(text.text)
        ]
        answers = iter(await choose(self._engine, concluding))
        heard = [(text, None if is_refusal(text.text) else next(answers)) for text in texts]
        n = self._settings.voters
        return [self._settlement(question, heard[i * n : (i + 1) * n]) for i, question in enumerate(questions)]

    def _settlement(
        self, question: OpenQuestion, heard: Sequence[tuple[Generation, ChoiceProbabilities | None]]
    ) -> Settlement:
        turns = tuple(_turn(number, *each) for number, each in enumerate(heard, start=1))
        count = count_votes(turns, self._settings.min_agreement, self._min_mass)
        reason = count.told if count.outcome == "undecided" else ""
        vote = Debate(
            subject=question.precondition.statement,
            turns=turns,
            probability=count.probability,
            outcome=count.outcome,
            reason=reason,
            prompt_tokens=sum(text.prompt_tokens + (answer.prompt_tokens if answer else 0) for text, answer in heard),
            completion_tokens=sum(text.completion_tokens for text, _ in heard),
        )
        found: dict[str, object] = {
            "stage": "vote",
            "outcome": count.outcome,
            "reason": reason,
            "rationale": count.told,
            "debates": (vote,),
            "template_digest": with_posted(conclusion_prompt("", "", ()), question.text).template_digest,
        }
        if count.probability is not None:
            found["probability"] = count.probability
            found["readings"] = with_reference(question.evidence.readings, "voted", count.probability)
        return Settlement(question.evidence.model_copy(update=found), usage_of(vote))


def count_votes(turns: Sequence[Turn], min_agreement: float, min_mass: float) -> Count:
    """The side that enough of all voters take, with the mean of the readable voters' log-odds.

    A voter without a usable reading, or with exactly 0.5, takes no side but counts in the share. One that is far
    surer than the others may pull the mean to the other side: then nothing is decided.
    """
    read = [turn.probability for turn in turns if turn.probability is not None and (turn.mass or 0.0) >= min_mass]
    yes, no = sum(p > 0.5 for p in read), sum(p < 0.5 for p in read)
    mean = sigmoid(fmean(logit(p) for p in read)) if read else None
    if mean is None:
        return Count("undecided", None, f"none of {len(turns)} voters could be read")
    word, most = ("Yes", yes) if yes >= no else ("No", no)
    told = f"{most} of {len(turns)} voters say {word}"
    if len(read) < len(turns):
        told += f", {len(turns) - len(read)} could not be read"
    if most < min_agreement * len(turns) - _ROUNDING:
        return Count("undecided", mean, told)
    if (mean > 0.5) != (word == "Yes"):
        return Count("undecided", mean, f"{told}, but the mean of their P(Yes) is {mean:.2f}")
    return Count("satisfied" if word == "Yes" else "rejected", mean, told)


def _turn(number: int, text: Generation, answer: ChoiceProbabilities | None) -> Turn:
    turn = Turn(speaker="voter", round=number, text=text.text, cut_off=text.finish_reason == "length")
    if answer is None:
        return turn.model_copy(update={"refused": True})
    try:
        read = read_yes(answer)
    except AnswerError:
        return turn
    return turn.model_copy(update={"probability": read.observed, "mass": read.mass})


_ROUNDING = 1e-9
"""0.6 * 5 is a little more than 3."""
