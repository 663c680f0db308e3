"""What people read: the table of verdicts, the explanation of one, the summary line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from judge.types import Evidence, RuleDecision, ScoreRow, Verdict

_COLOURS = {"unsafe": "bold red", "safe": "green", "uncertain": "yellow", "error": "magenta"}


def kind(row: ScoreRow) -> str:
    """unsafe, safe, uncertain, or error."""
    return "error" if row.error else row.decision


def print_table(console: Console, rows: Sequence[ScoreRow]) -> None:
    """One line per input, then the counts."""
    table = Table("input", "verdict", "top rule", "p", "why", title="Verdicts")
    table.columns[0].overflow = "fold"  # the end of a path tells more than its beginning
    for row in rows:
        label = f"[{_COLOURS[kind(row)]}]{kind(row)}[/]"
        if row.error:
            why = row.error.message + (f" ({row.error.hint})" if row.error.hint else "")
            table.add_row(escape(row.input), label, "", "", escape(why))
        elif row.verdict:
            top = max(row.verdict.rules, key=_rank, default=None) if row.decision != "uncertain" else None
            rule, score = (top.rule_id, f"{top.score:.2f}") if top else ("", "")
            table.add_row(escape(row.input), label, rule, score, escape(_why(row.verdict, top)))
    console.print(table)
    counts = Counter(kind(row) for row in rows)
    console.print(", ".join(f"{counts.get(name, 0)} {name}" for name in ("unsafe", "safe", "uncertain", "error")))


def _rank(rule: RuleDecision) -> tuple[bool, float]:
    return rule.outcome == "violated", rule.score


def _why(verdict: Verdict, top: RuleDecision | None) -> str:
    if verdict.reason:
        return verdict.reason.partition(": ")[0] if "undecided" in verdict.reason else verdict.reason
    if top is None or top.outcome != "violated":
        return "no rule is violated"
    return "; ".join(e.statement for e in top.evidence if e.outcome == "satisfied")


def print_explanation(console: Console, row: ScoreRow) -> None:
    """Every rule with its expression, and every precondition with its readings."""
    if row.verdict is None:
        return
    console.print(f"\n[bold]{escape(row.input)}[/]: {row.decision}")
    for notice in row.verdict.notices:
        console.print(f"  note: {escape(notice)}")
    for rule in row.verdict.rules:
        settled = f"settled at {rule.stage}" if rule.stage != "none" else "not settled"
        console.print(f"  [bold]{rule.rule_id}[/] {rule.outcome}, score {rule.score:.2f}, {settled}")
        console.print(f"    violated when {escape(rule.expression)}")
        if rule.reason:
            console.print(f"    {escape(rule.reason)}")
        for item in rule.evidence:
            console.print(f"    - {escape(item.statement)} {_readings(item)}")
            if item.rationale:
                console.print(f"      {escape(item.rationale)}", style="italic")


def _readings(item: Evidence) -> str:
    stage = item.stage.replace("_", " ")
    if item.readings is None:
        return f"{item.outcome} at {stage} ({escape(item.reason)})" if item.reason else f"{item.outcome} at {stage}"
    readings = item.readings
    prior = "-" if readings.prior is None else f"{readings.prior:.2f}"
    others = {} if readings.occluded is None else {"region removed": readings.occluded}
    shown = "".join(f", {name} {value:.2f}" for name, value in (others | dict(readings.references)).items())
    return (
        f"{item.outcome} at {stage}: with image {readings.observed:.2f}, text only {prior}{shown}, "
        f"settled {item.probability:.2f}, label mass {readings.mass:.2f}"
    )
