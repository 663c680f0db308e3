"""Asks the golden questions and compares the answers with a record."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from judge import __version__
from judge.canary.golden import GoldenQuestion, golden_pictures, golden_prompt, golden_questions, golden_template
from judge.canary.record import CanaryRecord, GoldenScore, Tolerance
from judge.engines.base import Engine
from judge.errors import AnswerError, EngineError, JudgeError
from judge.stages.questions import choose, read_yes
from judge.types import ChoiceProbabilities, Probability, Readings, Wire

_CLIP = 1e-3
"""Probabilities nearer to 0 or 1 count as this near: no threshold tells them apart, and there 1 - p is rounding."""
_SHOWN = 3
"""Most answers that a message spells out."""


class Comparison(Wire):
    """One golden question: recorded and found."""

    picture: str
    """As `GoldenScore`."""
    statement: str
    """As `GoldenScore`."""
    recorded_p_yes: Probability
    """P(Yes) in the record."""
    recorded_mass: Probability
    """Label mass in the record."""
    found_p_yes: Probability | None
    """P(Yes) now; None if neither Yes nor No was seen."""
    found_mass: Probability
    """Label mass now."""
    log_odds: float | None
    """Distance of the two P(Yes) in log-odds; None if there is nothing to compare."""
    drifted: bool
    """Whether the distance, or that of the masses, is beyond the tolerance."""


class CanaryReport(Wire):
    """What a check found."""

    status: Literal["ok", "drift", "stale", "no_record"]
    """`stale`: the record is of another model, template, picture or set of questions, so nothing was asked."""
    model: str
    """Name of the model."""
    runtime: str
    """What it runs on."""
    message: str
    """The finding in one sentence."""
    hint: str = ""
    """The way out."""
    comparisons: tuple[Comparison, ...] = ()
    """One per question that was asked, in the order of the questions."""


async def record_canary(engine: Engine) -> CanaryRecord:
    """Ask every golden question that the engine can take, in one call.

    Raises:
        EngineError: The engine cannot answer, or some answer is no probability.
        AnswerError: Neither Yes nor No was seen in some answer, so there is nothing to record.
    """
    questions = golden_questions(engine.capabilities)
    scores = []
    for question, readings in zip(questions, await _ask(engine, questions), strict=True):
        if readings is None:
            raise AnswerError(
                f"canary question '{question}': model '{engine.info.name}' considered neither Yes nor No",
                hint="see whether it answers yes/no questions at all",
            )
        scores.append(
            GoldenScore(
                picture=question.picture, statement=question.statement, p_yes=readings.observed, mass=readings.mass
            )
        )
    return CanaryRecord(
        model=engine.info.name,
        model_digest=engine.info.digest,
        runtime=engine.info.runtime,
        package=__version__,
        template_digest=golden_template(engine.info.question_format),
        pictures=golden_pictures(),
        scores=tuple(scores),
    )


async def check_canary(engine: Engine, record: CanaryRecord | None) -> CanaryReport:
    """Compare an engine with a record. Without a record that fits, nothing is asked.

    Raises:
        EngineError: The engine cannot answer, or some answer is no probability.
    """
    name, runtime = engine.info.name, engine.info.runtime
    if record is None:
        return CanaryReport(
            status="no_record",
            model=name,
            runtime=runtime,
            message=f"canary: there is no record of model '{name}'",
            hint="record one with `judge canary record --out FILE`, and name it in engine.canary_file",
        )
    questions = golden_questions(engine.capabilities)
    if stale := _stale(record, engine, questions):
        return CanaryReport(
            status="stale",
            model=name,
            runtime=runtime,
            message=f"canary: the record cannot be compared with model '{name}': {stale}",
            hint="if that is meant, record again with `judge canary record --out FILE`",
        )
    comparisons = _compare(record, engine, questions, await _ask(engine, questions))
    drifted = [each for each in comparisons if each.drifted]
    return CanaryReport(
        status="drift" if drifted else "ok",
        model=name,
        runtime=runtime,
        message=_drift_message(record, runtime, comparisons)
        if drifted
        else f"canary: model '{name}' scores as recorded",
        hint="use the recorded build, or if this one is meant, measure and record it again" if drifted else "",
        comparisons=comparisons,
    )


async def _ask(engine: Engine, questions: Sequence[GoldenQuestion]) -> list[Readings | None]:
    """None where neither Yes nor No was seen."""
    try:
        answers = await choose(engine, [golden_prompt(question, engine.info.question_format) for question in questions])
    except JudgeError as error:
        raise EngineError(f"canary: the golden questions failed: {error.message}", hint=error.hint) from error
    return [_read(question, answer) for question, answer in zip(questions, answers, strict=True)]


def _read(question: GoldenQuestion, answer: ChoiceProbabilities) -> Readings | None:
    if answer.mass == 0.0:
        return None
    try:
        return read_yes(answer)
    except AnswerError as error:
        raise EngineError(f"canary question '{question}': {error.message}") from error


def _stale(record: CanaryRecord, engine: Engine, questions: Sequence[GoldenQuestion]) -> str:
    """Why the record says nothing about this engine; empty if it does."""
    if record.model_digest != engine.info.digest:
        return (
            f"it was recorded for another model, '{record.model}' with digest {_short(record.model_digest)}; "
            f"this one has {_short(engine.info.digest)}"
        )
    template = golden_template(engine.info.question_format)
    if record.template_digest != template:
        return (
            f"it was recorded with another prompt template, digest {_short(record.template_digest)}; "
            f"this one has {_short(template)}"
        )
    pictures = golden_pictures()
    if changed := sorted(name for name in pictures if record.pictures.get(name) != pictures[name]):
        return f"it was recorded with other pictures: {', '.join(changed)}"
    recorded = {score.question for score in record.scores}
    if missing := [question for question in questions if question not in recorded]:
        return f"it lacks {len(missing)} of the {len(questions)} golden questions, first '{missing[0]}'"
    return ""


def _compare(
    record: CanaryRecord, engine: Engine, questions: Sequence[GoldenQuestion], found: Sequence[Readings | None]
) -> tuple[Comparison, ...]:
    recorded = {score.question: score for score in record.scores}
    exact = all("float32" in runtime.split("/") for runtime in (record.runtime, engine.info.runtime))
    return tuple(
        _comparison(recorded[question], readings, record.tolerance, exact=exact)
        for question, readings in zip(questions, found, strict=True)
    )


def _comparison(score: GoldenScore, readings: Readings | None, tolerance: Tolerance, *, exact: bool) -> Comparison:
    mass = readings.mass if readings else 0.0
    distance = abs(_log_odds(readings.observed) - _log_odds(score.p_yes)) if readings else None
    allowed = tolerance.float32 if exact else tolerance.log_odds
    return Comparison(
        picture=score.picture,
        statement=score.statement,
        recorded_p_yes=score.p_yes,
        recorded_mass=score.mass,
        found_p_yes=readings.observed if readings else None,
        found_mass=mass,
        log_odds=distance,
        drifted=distance is None or distance > allowed or abs(mass - score.mass) > tolerance.mass,
    )


def _log_odds(probability: float) -> float:
    clipped = min(max(probability, _CLIP), 1.0 - _CLIP)
    return math.log(clipped / (1.0 - clipped))


def _drift_message(record: CanaryRecord, runtime: str, comparisons: Sequence[Comparison]) -> str:
    drifted = sorted((each for each in comparisons if each.drifted), key=_severity, reverse=True)
    return (
        f"canary: model '{record.model}' on {runtime} no longer scores as recorded on {record.runtime}: "
        f"{len(drifted)} of {len(comparisons)} golden answers are off; "
        + "; ".join(_in_words(each) for each in drifted[:_SHOWN])
    )


def _severity(comparison: Comparison) -> tuple[float, float]:
    distance = math.inf if comparison.log_odds is None else comparison.log_odds
    return distance, abs(comparison.found_mass - comparison.recorded_mass)


def _in_words(comparison: Comparison) -> str:
    question = GoldenQuestion(comparison.picture, comparison.statement)
    recorded = f"P(Yes) {comparison.recorded_p_yes:.3g} with label mass {comparison.recorded_mass:.3g} recorded"
    if comparison.found_p_yes is None:
        return f"'{question}': {recorded}, neither Yes nor No found"
    return f"'{question}': {recorded}, {comparison.found_p_yes:.3g} with {comparison.found_mass:.3g} found"


def _short(digest: str) -> str:
    return digest[:12]
