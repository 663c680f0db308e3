"""One yes/no question about one frame, put to the engine and read as evidence: what the one-token stages share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from judge.config import Thresholds
from judge.debias import Settled, settle
from judge.engines.base import Engine
from judge.errors import AnswerError, EngineError
from judge.types import ChoiceProbabilities, Evidence, Generation, Prompt, Readings, Reference, Stage

_ROUNDING = 1e-3
"""How far a sum of probabilities may stray from [0, 1] before the answer is refused."""
_UNKNOWN = 0.5
"""Probability of a statement without a readable answer; its outcome is undecided."""


@dataclass(frozen=True, slots=True)
class Question:
    """A statement, and the prompt that asks whether it is true. `id` is a precondition's or a rule's."""

    stage: Stage
    id: str
    statement: str
    prompt: Prompt


async def choose(engine: Engine, prompts: Sequence[Prompt]) -> list[ChoiceProbabilities]:
    """Ask yes or no: one answer per prompt, in order; no prompt, no call.

    Raises:
        EngineError: The engine could not answer, or broke its contract.
    """
    if not prompts:
        return []
    answers = await engine.choose(prompts)
    if len(answers) != len(prompts):
        raise EngineError(f"model '{engine.info.name}' gave {len(answers)} answers to {len(prompts)} questions")
    return answers


async def write(engine: Engine, prompts: Sequence[Prompt], max_tokens: int, temperature: float) -> list[Generation]:
    """Let the engine write: one text per prompt, in order; no prompt, no call.

    Raises:
        AnswerError: A text was withheld.
        EngineError: The engine could not write, or broke its contract.
    """
    if not prompts:
        return []
    texts = await engine.generate(prompts, max_tokens=max_tokens, temperature=temperature)
    if len(texts) != len(prompts):
        raise EngineError(f"model '{engine.info.name}' gave {len(texts)} texts to {len(prompts)} questions")
    return texts


def read_yes(answer: ChoiceProbabilities, references: Mapping[Reference, float] | None = None) -> Readings:
    """The readings behind a yes/no answer.

    Raises:
        AnswerError: A probability is missing, not a number, or outside [0, 1]; or neither choice was seen at all.
    """
    yes = answer.probabilities.get("Yes")
    if yes is None or not (_is_probability(yes) and _is_probability(answer.mass)):
        raise AnswerError(f"the answer is no probability: Yes {yes}, label mass {answer.mass}")
    if answer.mass <= 0.0:
        raise AnswerError("neither Yes nor No was among the answers that the model considered")
    others = dict(references or {})
    prior = others.pop("none", None)
    return Readings(observed=_clip(yes), mass=_clip(answer.mass), prior=prior, references=others)


def with_reference(before: Readings | None, name: str, value: float) -> Readings | None:
    """One more reading by its name. None stays None: the first reading failed, and this one is not to pass for it."""
    if before is None:
        return None
    return before.model_copy(update={"references": {**before.references, name: value}})


def usable_yes(answer: ChoiceProbabilities, min_mass: float) -> float | None:
    """P(Yes); None if the model did not answer, or hardly: such a view says nothing."""
    try:
        readings = read_yes(answer)
    except AnswerError:
        return None
    return readings.observed if readings.mass >= min_mass else None


def to_evidence(
    question: Question,
    answer: ChoiceProbabilities,
    thresholds: Thresholds,
    *,
    references: Mapping[Reference, float] | None = None,
) -> Evidence:
    """Settle one answer. One that cannot be read is undecided, with the reason and without readings."""
    try:
        readings = read_yes(answer, references)
        settled = settle(readings, thresholds, question.id)
    except AnswerError as error:
        readings, settled = None, Settled("undecided", _UNKNOWN, error.message)
    return Evidence(
        stage=question.stage,
        precondition_id=question.id,
        statement=question.statement,
        outcome=settled.outcome,
        probability=settled.probability,
        readings=readings,
        reason=settled.reason,
        frame_indices=tuple(frame.index for frame in question.prompt.frames),
        template_digest=question.prompt.template_digest,
    )


def _is_probability(value: float) -> bool:
    return -_ROUNDING <= value <= 1.0 + _ROUNDING


def _clip(value: float) -> float:
    return min(max(value, 0.0), 1.0)
