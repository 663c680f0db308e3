"""What `judge score --explain` prints of debates, votes and videos."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from judge.cli.explanation import print_explanation
from judge.cli.table import print_table
from judge.types import InputError, ScoreRow
from tests.report.making import (
    DEBATE,
    HOSTILE,
    OTHER_ORDER,
    VOTE,
    debate,
    evidence,
    row,
    rule,
    segment,
    timeline,
    turn,
    video_row,
    vote,
)


def explained(shown: ScoreRow, *, width: int = 150, terminal: bool = False) -> str:
    file = io.StringIO()
    print_explanation(
        Console(file=file, width=width, force_terminal=terminal, color_system="truecolor" if terminal else None), shown
    )
    return file.getvalue()


def of_debates(*debates: object, **more: object) -> str:
    """The lines below the question."""
    text = explained(row(rule("r", evidence(readings=None, debates=debates))), **more)  # type: ignore[arg-type]
    return text.partition("- A knife is held. satisfied at debate\n")[2]


def test_a_debate_in_both_orders_is_a_transcript() -> None:
    assert (
        of_debates(DEBATE, OTHER_ORDER)
        == """\
      debate, affirmative first: satisfied, P(Yes) 0.93 (1,812 tokens written, 20,311 read)
        round 1
          affirmative
            A blade is in the left hand.
          negative
            It is a spoon:
            no edge is seen.
          judge: P(Yes) 0.62, label mass 0.98
        round 2
          affirmative: cut off at its limit of tokens
            The edge reflects the lamp
          negative (other-vlm): refused
          judge: P(Yes) 0.93, label mass 0.99
            Yes, weapons.
          critic
            The second turn decided.
        the judge's answer: Yes, weapons.
      debate, negative first: undecided, P(Yes) 0.31 (0 tokens written, 0 read)
        round 1
          negative
            A spoon.
          affirmative
            A blade.
          judge: no reading
        open because: the judge's answer could not be read
      the speaking orders disagree: 0.93 affirmative first, 0.31 negative first
"""
    )


def test_a_vote_is_one_line_per_voter_and_a_tally() -> None:
    assert (
        of_debates(VOTE)
        == """\
      vote: undecided, P(Yes) 0.55 (400 tokens written, 4,000 read)
        voter 1 Yes, P(Yes) 0.91, label mass 0.99  The hand holds a knife.
        voter 2 No, P(Yes) 0.20, label mass 0.97  Too dark to tell. Perhaps a spoon.
        voter 3 no reading, refused
        voter 4 P(Yes) 0.50  Even.
        tally: 1 Yes, 1 No, 2 without an answer
        open because: 1 of 2 say Yes, 0.80 is needed
"""
    )


def test_nothing_said_is_said_so() -> None:
    assert (
        of_debates(debate(), vote(subject="Harm is shown."))
        == """\
      debate, affirmative first: undecided, no reading at the end (0 tokens written, 0 read)
        nobody spoke
      vote: undecided, no reading at the end (0 tokens written, 0 read)
        about: Harm is shown.
        tally: 0 Yes, 0 No
"""
    )


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (debate(order="negative_first", probability=0.9, outcome="satisfied"), "agree: 0.93 affirmative first, 0.90"),
        (debate(order="negative_first", probability=0.6), "disagree: 0.93 affirmative first, 0.60 negative first"),
        (debate(order="negative_first"), "cannot be compared: one has no reading"),
    ],
)  # fmt: skip
def test_dissent_between_the_orders(second: object, words: str) -> None:
    """Whichever debate comes first in the evidence."""
    for debates in ((DEBATE, second), (second, DEBATE)):
        assert of_debates(*debates).splitlines()[-1].startswith(f"      the speaking orders {words}")
    assert "speaking orders" not in of_debates(DEBATE)


def test_a_video_has_a_length_segments_and_a_line_for_each_rule() -> None:
    shown = explained(
        video_row(
            segments=(
                segment("violence.knife", 3200, 5700, 4100),
                segment("violence.fall", 60_000, 3_725_040, 61_000, source="clip"),
            )
        )
    )
    assert (
        shown
        == """
clip.mp4: unsafe
  video 0:12.4, 10 frames judged
    0:03.2-0:05.7 violence.knife  peak 0.97 at 0:04.1
    1:00.0-1:02:05.0 violence.fall  peak 0.97 at 1:01.0, found on a clip
  violence.knife violated, score 0.93, settled at debate
    violated when knife_held
    along the video: highest 0.97 at 0:04.1; of 10 frames 3 violated, 2 undecided
    - A knife is held. satisfied at debate: with image 0.55, text only 0.20, debated 0.93, settled 0.93, label mass 0.99
  violence.fire not_violated, score 0.01, settled at token_probability
    violated when knife_held
    along the video: highest 0.01 at 0:00.0; of 10 frames 0 violated, 0 undecided
"""
    )


def test_a_video_without_segments_lengths_or_frames() -> None:
    empty = timeline("violence.knife", [], [], [])
    lines = explained(video_row(segments=(), timelines=(empty,), duration_ms=None, n_frames=None)).splitlines()
    assert lines[2:4] == ["  video length unknown", "    no segments"]
    assert "    along the video: no frame was read" in lines
    shown = explained(video_row(segments=(), timelines=()))
    assert "  video 0:12.4, 10 frames judged\n    no segments: no rule was read along time\n" in shown
    assert "video" not in explained(row(rule("r"), name="a.png", media_kind="image", n_frames=1))


def test_an_error_has_no_explanation() -> None:
    failed = ScoreRow(input="x", decision="uncertain", flagged=None, error=InputError(code="media", message=HOSTILE))
    assert explained(failed) == ""


def test_hostile_text_reaches_no_terminal() -> None:
    """In every field that a model or a stranger writes."""
    spoken = [turn(who, 1, HOSTILE, model=HOSTILE) for who in ("affirmative", "negative", "judge", "critic")]
    item = evidence(
        statement=HOSTILE, rationale=HOSTILE, readings=None, reason=HOSTILE,
        debates=(debate(*spoken, subject=HOSTILE, answer=HOSTILE, reason=HOSTILE), vote(turn("voter", 1, HOSTILE))),
    )  # fmt: skip
    shown = row(rule("r", item, reason=HOSTILE, expression=HOSTILE), name=HOSTILE, notices=(HOSTILE,), reason=HOSTILE)
    text = explained(shown, width=300)
    failed = InputError(code="media", message=HOSTILE, hint=HOSTILE)
    file = io.StringIO()
    rows = [shown, ScoreRow(input=HOSTILE, decision="uncertain", flagged=None, error=failed)]
    print_table(Console(file=file, width=300), rows)
    everything = text + file.getvalue()
    harmless = (
        "<script>alert(1)</script> [red]danger[/red] :smile: \ufffd[31mESC\ufffd\ufffd2J \ufffdright to left\ufffd end"
    )
    assert text.count(harmless) == 18
    assert file.getvalue().count(harmless) >= 3
    assert [char for char in everything if not char.isprintable() and char != "\n"] == []


def test_a_name_cannot_start_a_line_of_its_own() -> None:
    shown = explained(row(rule("r", evidence(readings=None, debates=(debate(answer="Yes.\n  r not_violated"),)))))
    assert "the judge's answer: Yes.   r not_violated\n" in shown


def test_colours_are_ours_only() -> None:
    said = of_debates(debate(turn("affirmative", 1, "\x1b[7mloud [bold]x[/bold]")), terminal=True)
    assert "\x1b[7m" not in said
    assert "\x1b[31maffirmative\x1b[0m" in said
    assert "            \ufffd[7mloud [bold]x[/bold]\n" in said


@pytest.mark.parametrize(
    ("long", "left_out"),
    [
        ("y" * 100_000, "99,200"),
        ("word " * 20_000, "99,200"),  # the last space is not counted on either side
        ("\n" * 50_000 + "z" * 50_000, "49,200"),
        ("\u0645" * 100_000, "99,200"),
    ],
)
def test_100_kb_are_cut_with_a_note(long: str, left_out: str) -> None:
    said = of_debates(debate(turn("negative", 1, long)), vote(turn("voter", 1, long, probability=0.7)), width=80)
    lines = said.splitlines()
    assert len(lines) < 30
    assert max(map(len, lines)) <= 80
    assert f"[{left_out} more characters, shown by --json and --report]" in said
    assert "        [cut to one line each, shown whole by --json and --report]" in lines


def test_a_wall_of_line_breaks_is_bounded() -> None:
    said = of_debates(debate(turn("negative", 1, "a\n" * 50_000)))
    assert said.count("            a\n") == 20
    assert said.endswith("[99,960 more characters, shown by --json and --report]\n")


def test_wide_characters_are_wrapped_by_their_width() -> None:
    said = of_debates(debate(turn("negative", 1, "\u5200" * 100)), width=60)
    assert [line.strip() for line in said.splitlines() if "\u5200" in line] == ["\u5200" * 24] * 4 + ["\u5200" * 4]


def test_joiners_and_every_script_stay() -> None:
    persian, emoji = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\U0001f469\u200d\U0001f692"
    text = f"{persian} \u05e9\u05dc\u05d5\u05dd {emoji} \u00e9\u00a0a\tb"
    assert text.replace("\u00a0", " ").replace("\t", " ") in of_debates(debate(turn("negative", 1, text)))
