"""What people read of annotations: the table, the counts, and what it cost beside a vote."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from judge.bench.annotate import Decision, MediaAnnotation, vote_decision
from judge.errors import JudgeError
from judge.types import Usage

_COLOURS = {"yes": "bold red", "no": "green", "none": "yellow", "error": "magenta"}
_WORDS: dict[Decision, str] = {"yes": "harmful", "no": "unharmful", "none": "undecided", "error": "error"}


def print_annotations(console: Console, annotations: Sequence[MediaAnnotation]) -> None:
    """One line per input."""
    table = Table("input", "harmful", "category or reason", "p", "vote", "why", title="Annotations")
    table.columns[0].overflow = "fold"
    for each in annotations:
        why = str(JudgeError(each.error.message, hint=each.error.hint)) if each.error else each.reason
        table.add_row(
            escape(each.input),
            f"[{_COLOURS[each.decision]}]{each.decision}[/]",
            escape("refused" if each.refused else each.harmful_type),
            "" if each.probability is None else f"{each.probability:.2f}",
            vote_decision(each.vote) if each.vote else "",
            escape(why),
        )
    console.print(table)


def print_cost(console: Console, annotations: Sequence[MediaAnnotation]) -> None:
    """The counts, what failed, and tokens, seconds and calls per media; of votes, too, and how they differ."""
    counts = Counter(each.decision for each in annotations)
    console.print(", ".join(f"{counts[name]} {word}" for name, word in _WORDS.items()))
    for each in annotations:
        if each.error:
            console.print(f"{each.input}: {each.error.message}", style="magenta", markup=False, soft_wrap=True)
    asked = [each for each in annotations if each.usage != Usage()]
    if asked:
        seconds = sum(each.seconds for each in asked)
        console.print(
            _per_media("debate", sum((each.usage for each in asked), Usage()), seconds, len(asked)), soft_wrap=True
        )
    voted = [each for each in annotations if each.vote is not None]
    if voted:
        seconds = sum(each.vote_seconds for each in voted)
        console.print(
            _per_media("vote", sum((each.vote_usage for each in voted), Usage()), seconds, len(voted)), soft_wrap=True
        )
        same = sum(each.vote is not None and vote_decision(each.vote) == each.decision for each in voted)
        console.print(f"debate and vote say the same of {same} of {len(voted)} media")


def _per_media(what: str, usage: Usage, seconds: float, count: int) -> str:
    return (
        f"{what}, per media: {usage.generations / count:.1f} slow calls, {usage.questions / count:.1f} readings, "
        f"{usage.prompt_tokens / count:,.0f} tokens read, {usage.completion_tokens / count:,.0f} written, "
        f"{seconds / count:.2f} s"
    )
