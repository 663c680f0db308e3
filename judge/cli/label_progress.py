"""What `judge label` shows: a live line while it works, an estimate before, a summary after."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from judge.bulk.counts import Counts
from judge.bulk.estimate import Estimate
from judge.bulk.job import Outcome

_ENDED = {
    "complete": "complete",
    "limit": "complete up to --limit",
    "interrupted": "interrupted: the same command goes on",
    "budget_tokens": "the budget of tokens is used up: the same command goes on",
    "budget_seconds": "the time is used up: the same command goes on",
    "error": "it could not go on: the same command tries again",
}


class LabelProgress:
    """A context manager; silent where standard error is no terminal.

    Args:
        total: Rows of the whole labelling, where that is known.
        n_before: Of these, written before.
    """

    def __init__(self, console: Console, total: int | None, n_before: int) -> None:
        self._n_before = n_before
        self._progress = Progress(
            TextColumn("labelling"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[said]}"),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(), console=console,
            disable=not console.is_terminal, transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("labelling", total=total, completed=n_before, said="")

    def __enter__(self) -> LabelProgress:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, counts: Counts) -> None:
        self._progress.update(self._task, completed=self._n_before + counts.rows, said=said_of(counts))


def said_of(counts: Counts) -> str:
    """Verdicts so far, in few words."""
    decisions = counts.decisions
    return (
        f"{decisions['unsafe']} unsafe, {decisions['safe']} safe, {decisions['uncertain']} uncertain; "
        f"{counts.escalation_rate:.0%} escalated, {counts.errors} errors, {counts.duplicates} duplicates"
    )


def print_estimate(console: Console, found: Estimate, price: float | None) -> None:
    table = Table(show_header=False, title=f"estimate, from {found.tried} rows judged here")
    table.add_row(
        "rows to judge", f"{found.rows:,}" if found.exact else f"at least {found.rows:,} (counting took long)"
    )
    table.add_row("start-up", f"{found.start_s:.1f} s")
    table.add_row("one row", f"{found.row_s * 1000:.0f} ms with one judge")
    table.add_row("time", f"{duration(found.seconds)} with {found.judges} judge{'s' * (found.judges > 1)}")
    table.add_row("tokens", f"{found.tokens:,}")
    if price is not None:
        table.add_row("cost", f"{found.tokens * price / 1e6:,.2f}")
    table.add_row("escalated", f"{found.escalation_rate:.0%}")
    table.add_row("could not be judged", f"{found.failed} of {found.tried}")
    console.print(table)
    console.print("Duplicates are judged once, and so cost less than this.", style="dim")


def print_outcome(out: Path, outcome: Outcome, written: Sequence[Path], messages: Console, *, as_json: bool) -> None:
    """For people on standard error, or one JSON object on standard output."""
    counts = outcome.added
    if as_json:
        shown = {
            "out": str(out), "why": outcome.why, "rows_before": outcome.n_before, **counts.as_json(),
            "start_seconds": round(outcome.start_s, 3), "judging_seconds": round(outcome.judging_s, 3),
            "rows_per_second": round(outcome.rows_per_s, 3),
            "exports": [str(path) for path in written],
        }  # fmt: skip
        print(json.dumps(shown, indent=1))
        return
    before = f", {outcome.n_before:,} before" if outcome.n_before else ""
    messages.print(f"{out}: {counts.rows:,} rows written{before}; {_ENDED[outcome.why]}", markup=False, soft_wrap=True)
    if counts.rows:
        messages.print(f"  {said_of(counts)}; {_rate(outcome)}", markup=False, soft_wrap=True)
    for path in written:
        messages.print(f"  {path}", markup=False, soft_wrap=True)


def _rate(outcome: Outcome) -> str:
    started = f"the first rows after {duration(outcome.start_s)}"
    return f"{started}, then {outcome.rows_per_s:.1f} rows a second" if outcome.rows_after else started


def duration(seconds: float) -> str:
    """In the two largest units that fit."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
