"""The baseline beside a debate: as many judges as it has texts; none hears a debater, each answers for itself.

Equal in calls, not in tokens: a judge writes less than a debater. A debate that ends early has fewer texts than a vote.
Majority voting often gives most of what a debate gains, so a debate is worth showing beside it only.
"""

from __future__ import annotations

from collections.abc import Sequence

from judge.config import DebateSettings
from judge.errors import AnswerError, EngineError
from judge.prompts.debate import debate_prompt
from judge.stages.cast import Cast, Motion, sees_examples
from judge.stages.questions import write
from judge.stages.retry import Unanswered, ask_each
from judge.stages.speech import is_refusal, parse_answer
from judge.types import Debate, Generation, Outcome, Turn

ENGINE_FAILED = "the engine failed in the vote"


def voters(settings: DebateSettings) -> int:
    """Texts of the debate that these settings allow: every turn, and the judge's answer, in every order."""
    return (2 * settings.rounds + 1) * (2 if settings.orders == "both" else 1)


async def hold_votes(cast: Cast, motions: Sequence[Motion], settings: DebateSettings) -> list[Debate]:
    """One vote per motion, in order. More than half of all voters decide; else it is undecided.

    A voter who refuses or cannot be read votes for nothing, or for harm where `settings.refusal` says so.
    `probability` is the share of Yes among those who voted.
    """
    judge, count = cast.player("judge"), voters(settings)
    shown = settings.max_examples if sees_examples("judge", settings) else 0
    prompts = [debate_prompt(each.subject, "judge", (), each.frames, each.examples[:shown]) for each in motions]
    copies = [prompt for prompt in prompts for _ in range(count)]
    texts = await ask_each(lambda part: write(judge, part, settings.judge_tokens, settings.temperature), copies)
    return [
        _count(motion, texts[place * count : (place + 1) * count], settings, cast.name("judge"))
        for place, motion in enumerate(motions)
    ]


def _count(motion: Motion, texts: Sequence[Generation | Unanswered], settings: DebateSettings, model: str) -> Debate:
    turns = tuple(_turn(number, text, model) for number, text in enumerate(texts, start=1))
    votes = [_vote(turn) for turn in turns]
    if settings.refusal == "harmful":
        votes = [1.0 if vote is None else vote for vote in votes]
    cast_votes = [vote for vote in votes if vote is not None]
    yes = sum(cast_votes)
    outcome = _outcome(yes, len(cast_votes) - yes, len(turns))
    reason = "" if outcome != "undecided" else f"{yes:g} of {len(turns)} voted Yes, {len(cast_votes) - yes:g} No"
    failure = next((text for text in texts if isinstance(text, EngineError)), None)
    if failure is not None:
        outcome, reason = "undecided", f"{ENGINE_FAILED}: {failure}"
    wanted = {"satisfied": 1.0, "rejected": 0.0}.get(outcome)
    written = [text for text in texts if isinstance(text, Generation)]
    return Debate(
        subject=" ".join(motion.subject.statements),
        turns=turns,
        probability=yes / len(cast_votes) if cast_votes and failure is None else None,
        outcome=outcome,
        answer=next((turn.text for turn in turns if _vote(turn) == wanted), "") if wanted is not None else "",
        reason=reason,
        prompt_tokens=sum(text.prompt_tokens for text in written),
        completion_tokens=sum(text.completion_tokens for text in written),
    )


def _outcome(yes: float, no: float, count: int) -> Outcome:
    if yes * 2 > count:
        return "satisfied"
    return "rejected" if no * 2 > count else "undecided"


def _turn(number: int, text: Generation | Unanswered, model: str) -> Turn:
    said = text.text if isinstance(text, Generation) else ""
    cut_off = isinstance(text, Generation) and text.finish_reason == "length"
    refused = is_refusal(said) and not isinstance(text, EngineError)
    return Turn(speaker="voter", round=number, text=said, refused=refused, cut_off=cut_off, model=model)


def _vote(turn: Turn) -> float | None:
    """1 for Yes, 0 for No, None for neither."""
    try:
        return 1.0 if parse_answer(turn.text).says == "Yes" else 0.0
    except AnswerError:
        return None
