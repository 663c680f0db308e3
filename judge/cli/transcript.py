"""A debate as a transcript, a vote as a list of voters."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from judge.cli.paragraphs import say, say_line, say_text
from judge.report.debates import answer, cost, dissent, is_vote, reading, remarks, rounds, tally, title
from judge.types import Debate, Speaker, Turn

_COLOURS: dict[Speaker, str] = {
    "affirmative": "red",
    "negative": "green",
    "judge": "bold blue",
    "critic": "magenta",
    "voter": "",
}


def print_debates(console: Console, debates: Sequence[Debate], statement: str, indent: int) -> None:
    """What was held about a statement, one after the other; then whether it mattered who spoke first."""
    for debate in debates:
        say(console, indent, (title(debate), "bold"), f" ({cost(debate)})")
        if debate.subject != statement:
            say(console, indent + 2, f"about: {debate.subject}")
        if is_vote(debate):
            _print_vote(console, debate, indent + 2)
        else:
            _print_transcript(console, debate, indent + 2)
        if debate.answer:
            say(console, indent + 2, f"the judge's answer: {debate.answer}")
        if debate.reason:
            say(console, indent + 2, f"open because: {debate.reason}")
    if found := dissent(debates):
        say(console, indent, (found, "yellow" if "disagree" in found else ""))


def _print_transcript(console: Console, debate: Debate, indent: int) -> None:
    if not debate.turns:
        say(console, indent, "nobody spoke")
    for number, turns in rounds(debate):
        say(console, indent, (f"round {number}", "dim"))
        for turn in turns:
            say(console, indent + 2, (turn.speaker, _COLOURS[turn.speaker]), _head(turn))
            if turn.text:
                say_text(console, indent + 4, turn.text)


def _print_vote(console: Console, debate: Debate, indent: int) -> None:
    cut = False
    for turn in debate.turns:
        said = f" {answer(turn)}," if answer(turn) else ""
        cut |= say_line(console, indent, f"voter {turn.round}{said}{_head(turn)}", turn.text)
    if cut:
        say(console, indent, ("[cut to one line each, shown whole by --json and --report]", "dim"))
    say(console, indent, f"tally: {tally(debate)}")


def _head(turn: Turn) -> str:
    """Behind the speaker's name."""
    model = f" ({turn.model})" if turn.model else ""
    found = ", ".join(each for each in (reading(turn), *remarks(turn)) if each)
    return f"{model}: {found}" if found and turn.speaker != "voter" else f"{model} {found}".rstrip()
