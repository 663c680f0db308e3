"""What people read of many verdicts: the table and the summary line. One verdict in full: `judge.cli.explanation`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from judge.cli.paragraphs import LONGEST_CHARS
from judge.report.plain import brief
from judge.types import RuleDecision, ScoreRow, Verdict

_COLOURS = {"unsafe": "bold red", "safe": "green", "uncertain": "yellow", "error": "magenta"}


def kind(row: ScoreRow) -> str:
    """unsafe, safe, uncertain, or error."""
    return "error" if row.error else row.decision


def print_table(console: Console, rows: Sequence[ScoreRow]) -> None:
    """One line per input, then the counts."""
    table = Table("input", "verdict", "top rule", "p", "why", title="Verdicts")
    table.columns[0].overflow = "fold"  # the end of a path tells more than its beginning
    for row in rows:
        label = Text(kind(row), _COLOURS[kind(row)])
        if row.error:
            why = row.error.message + (f" ({row.error.hint})" if row.error.hint else "")
            table.add_row(_cell(row.input), label, "", "", _cell(why))
        elif row.verdict:
            top = max(row.verdict.rules, key=_rank, default=None) if row.decision != "uncertain" else None
            rule, score = (top.rule_id, f"{top.score:.2f}") if top else ("", "")
            table.add_row(_cell(row.input), label, _cell(rule), score, _cell(_why(row.verdict, top)))
    console.print(table)
    counts = Counter(kind(row) for row in rows)
    console.print(", ".join(f"{counts.get(name, 0)} {name}" for name in ("unsafe", "safe", "uncertain", "error")))


def _cell(text: str) -> Text:
    return Text(brief(text, LONGEST_CHARS))


def _rank(rule: RuleDecision) -> tuple[bool, float]:
    return rule.outcome == "violated", rule.score


def _why(verdict: Verdict, top: RuleDecision | None) -> str:
    if verdict.reason:
        return verdict.reason.partition(": ")[0] if "undecided" in verdict.reason else verdict.reason
    if top is None or top.outcome != "violated":
        return "no rule is violated"
    return "; ".join(e.statement for e in top.evidence if e.outcome == "satisfied")
