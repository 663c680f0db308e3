"""One verdict in full: every rule, every question, what was argued, and when."""

from __future__ import annotations

from rich.console import Console

from judge.cli.moments import along, print_moments
from judge.cli.paragraphs import say, say_text
from judge.cli.transcript import print_debates
from judge.guarantee import guarantee_in_words
from judge.types import Evidence, RuleDecision, ScoreRow, Timeline


def print_explanation(console: Console, row: ScoreRow) -> None:
    """Nothing for an error: the table says it all."""
    verdict = row.verdict
    if verdict is None:
        return
    console.print()
    say(console, 0, (row.input, "bold"), f": {row.decision}")
    for notice in verdict.notices:
        say(console, 2, f"note: {notice}")
    if verdict.guarantee is not None:
        say(console, 2, guarantee_in_words(verdict.guarantee))
    if verdict.calibrated_score is not None:
        say(console, 2, f"of labelled media with such a score {verdict.calibrated_score:.0%} are harmful")
    print_moments(console, verdict, 2)
    timelines = {timeline.rule_id: timeline for timeline in verdict.timelines}
    for rule in verdict.rules:
        _print_rule(console, rule, timelines.get(rule.rule_id))


def _print_rule(console: Console, rule: RuleDecision, timeline: Timeline | None) -> None:
    settled = f"settled at {rule.stage}" if rule.stage != "none" else "not settled"
    say(console, 2, (rule.rule_id, "bold"), f" {rule.outcome}, score {rule.score:.2f}, {settled}")
    say(console, 4, f"violated when {rule.expression}")
    if timeline:
        say(console, 4, along(timeline))
    if rule.reason:
        say_text(console, 4, rule.reason)
    for item in rule.evidence:
        say(console, 4, f"- {item.statement} {_readings(item)}")
        if item.rationale:
            say_text(console, 6, item.rationale, "italic")
        print_debates(console, item.debates, item.statement, 6)


def _readings(item: Evidence) -> str:
    stage = item.stage.replace("_", " ")
    if item.readings is None:
        return f"{item.outcome} at {stage} ({item.reason})" if item.reason else f"{item.outcome} at {stage}"
    readings = item.readings
    prior = "-" if readings.prior is None else f"{readings.prior:.2f}"
    others = {} if readings.occluded is None else {"region removed": readings.occluded}
    shown = "".join(f", {name} {value:.2f}" for name, value in (others | dict(readings.references)).items())
    return (
        f"{item.outcome} at {stage}: with image {readings.observed:.2f}, text only {prior}{shown}, "
        f"settled {item.probability:.2f}, label mass {readings.mass:.2f}"
    )
