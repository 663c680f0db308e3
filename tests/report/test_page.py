"""What the page shows of evidence, and that nothing of it is markup."""

from __future__ import annotations

import html
import re

import numpy as np

from judge.report.page import Card, render_page
from judge.report.strip import frames_to_show, video_strip
from judge.report.thumbnails import thumbnail
from judge.types import Evidence, Frame, Readings, Region, RuleDecision, ScoreRow, Verdict
from tests.report import making
from tests.report.making import (
    DEBATE,
    HOSTILE,
    OTHER_ORDER,
    VERSIONS,
    VOTE,
    debate,
    film,
    row,
    rule,
    turn,
    video_row,
    vote,
)


def card(evidence: Evidence) -> Card:
    rule = RuleDecision(
        rule_id="r", category="c", severity="low", outcome="violated", score=0.9, stage="region_test", expression="p",
        evidence=(evidence,),
    )  # fmt: skip
    verdict = Verdict(
        media_id="m", constitution="c@1", decision="unsafe", flagged=True, score=0.9, category_scores={"c": 0.9},
        rules=(rule,), model="m", versions=VERSIONS,
    )  # fmt: skip
    picture = thumbnail(Frame(0, 0.0, np.zeros((20, 30, 3), dtype=np.uint8)))
    return Card(ScoreRow(input="<b>name</b>", decision="unsafe", flagged=True, verdict=verdict), picture)


def evidence(**more: object) -> Evidence:
    fields = {
        "stage": "region_test",
        "precondition_id": "p",
        "statement": "A <script>knife</script>.",
        "outcome": "satisfied",
        "probability": 0.9,
        "readings": Readings(observed=0.7, mass=1.0, prior=0.2, occluded=0.11, references={"control": 0.66}),
    }
    return Evidence.model_validate(fields | more)


def test_regions_and_their_readings_are_shown() -> None:
    box = Region(left=0.25, top=0.5, right=0.5, bottom=1.0, label="<knife>")
    page = render_page([card(evidence(regions=(box,), heat_map=((0.0, 0.05), (2.5, 0.0))))])
    assert 'x="25.0%" y="50.0%" width="25.0%" height="50.0%"' in page
    assert "<title>&lt;knife&gt;</title>" in page
    assert page.count('<rect class="heat"') == 1, "a cell that changes nothing is not painted"
    assert 'x="0.0%" y="50.0%" width="50.0%" height="50.0%" opacity="0.50"' in page
    assert "region removed 0.11" in page
    assert "control 0.66" in page


def test_readings_stand_in_the_tree_of_the_rule() -> None:
    asked = tuple(evidence(precondition_id=id, statement=f"It is {id}.") for id in ("p", "r"))
    decided = RuleDecision(
        rule_id="r", category="c", severity="low", outcome="violated", score=0.9, stage="vote",
        expression="p and not (q or p)", evidence=asked,
    )  # fmt: skip
    page = render_page([Card(row(rules=(decided,)))])
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page[page.index('<ul class="tree">') :]))
    shown = re.findall(r"all of|any of|not asked|\bnot\b|It is \w\.|as above|\b[pq]\b", words)
    assert shown == ["all of", "It is p.", "not", "any of", "q", "not asked", "p", "as above", "It is r."]


def test_an_expression_that_cannot_be_read_loses_no_reading() -> None:
    broken = rule(expression="p and", evidence=(evidence(statement="It is p."),))
    page = render_page([Card(row(rules=(broken,)))])
    assert "It is p." in page


def test_without_regions_there_is_no_map() -> None:
    assert 'class="map"' not in render_page([card(evidence())])


def test_reasoning_is_shown_as_text() -> None:
    page = render_page([card(evidence(rationale="First.\n<img src=x onerror=alert(1)>"))])
    assert "First.\n&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<script>knife" not in page
    assert "<b>name</b>" not in page


def transcripts(page: str) -> list[str]:
    """The words of each transcript, one line for each piece of text."""
    found = re.findall(r'<details class="debate">(.*?)</details>', page, flags=re.DOTALL)
    pieces = [[" ".join(piece.split()) for piece in re.split("<[^>]*>", text)] for text in found]
    return [html.unescape("\n".join(piece for piece in text if piece)) for text in pieces]


def test_debates_and_votes_are_whole_transcripts() -> None:
    shown = row(rule("r", making.evidence(debates=(DEBATE, OTHER_ORDER)), making.evidence(debates=(VOTE, debate()))))
    page = render_page([Card(shown)])
    first, second, votes, nothing = transcripts(page)
    assert first == (
        "debate, affirmative first: satisfied, P(Yes) 0.93\nabout:\nA knife is held.\n"
        "round 1\naffirmative\nA blade is in the left hand.\nnegative\nIt is a spoon: no edge is seen.\n"
        "judge\nP(Yes) 0.62, label mass 0.98\n"
        "round 2\naffirmative\ncut off at its limit of tokens\nThe edge reflects the lamp\n"
        "negative\n(other-vlm)\nrefused\njudge\nP(Yes) 0.93, label mass 0.99\nYes, weapons.\n"
        "critic\nThe second turn decided.\n"
        "the judge's answer:\nYes, weapons.\n1,812 tokens written, 20,311 read"
    )
    assert second == (
        "debate, negative first: undecided, P(Yes) 0.31\n(the judge's answer could not be read)\n"
        "about:\nA knife is held.\n"
        "round 1\nnegative\nA spoon.\naffirmative\nA blade.\njudge\nno reading\n0 tokens written, 0 read"
    )
    assert votes == (
        "vote: undecided, P(Yes) 0.55\n(1 of 2 say Yes, 0.80 is needed)\nabout:\nA knife is held.\n"
        "1 Yes, 1 No, 2 without an answer\n"
        "voter 1\nYes\nP(Yes) 0.91, label mass 0.99\nThe hand holds a knife.\n"
        "voter 2\nNo\nP(Yes) 0.20, label mass 0.97\nToo dark to tell. Perhaps a spoon.\n"
        "voter 3\nrefused\nno reading\nvoter 4\nP(Yes) 0.50\nEven.\n400 tokens written, 4,000 read"
    )
    assert "nobody spoke" in nothing
    assert "the speaking orders disagree: 0.93 affirmative first, 0.31 negative first" in page
    drawn = re.findall(r'class="(yes|no)" (?:x="([\d.]+)%" )?width="([\d.]+)%"', page.partition('class="tally"')[2])
    assert drawn[:2] == [("yes", "", "25.0"), ("no", "75.0", "25.0")]
    assert 'aria-label="P(Yes) 0.62, label mass 0.98"><rect width="62%"' in page


def test_hostile_text_stays_text_and_whole() -> None:
    """Everywhere that a model or a stranger writes; what is long is kept, for the page has room."""
    long = "word " * 20_000
    spoken = [turn(who, 1, HOSTILE, model=HOSTILE) for who in ("affirmative", "negative", "judge", "critic")]
    item = making.evidence(
        statement=HOSTILE, rationale=HOSTILE, reason=HOSTILE,
        debates=(
            debate(*spoken, turn("affirmative", 2, long), subject=HOSTILE, answer=HOSTILE, reason=HOSTILE),
            vote(turn("voter", 1, HOSTILE, probability=0.1)),
        ),
    )  # fmt: skip
    id = '"><script>'
    shown = video_row(
        name=HOSTILE, notices=(HOSTILE,), reason=HOSTILE, model=HOSTILE, segments=(making.segment(id, 0, 900, 0),),
        rules=(rule(id, item, reason=HOSTILE, expression=HOSTILE),),
        timelines=(making.timeline(id, [0], [1], ["violated"]),),
    )  # fmt: skip
    page = render_page([Card(shown, strip=video_strip(film(1, 0.0), 0.0))])
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt; [red]danger[/red] :smile: \ufffd[31mESC") >= 20
    assert (page.count("<script"), page.count("</script")) == (1, 1)
    assert long in page
    assert [char for char in page if not char.isprintable() and char != "\n"] == []
    assert re.findall(r"""(?:src|href)\s*=\s*["'](?!data:image/)|url\(|@import|https?:|\son\w+=""", page) == []


def test_a_video_has_frames_a_timeline_and_segments() -> None:
    shown = video_row()
    assert shown.verdict is not None
    frames = film(125, 12.4)
    indices = frames_to_show(shown.verdict, range(125), [frame.timestamp_s for frame in frames])
    page = render_page([Card(shown, "data:unused", video_strip([frames[i] for i in indices], 12.4))])
    marked = re.findall(r'<li class="marked" title="(.*?)">.*?<span>(.*?)</span>', page)
    assert marked == [("violated here: violence.knife", time) for time in ("0:03.4", "0:04.1", "0:05.0")]
    assert page.count("data:image/jpeg;base64,") == page.count('loading="lazy" width="160" height="90"') == 10
    assert "10 frames are shown; 10 were judged" in page
    assert "video 0:12.4, 10 frames judged" in page
    assert "<b>0:03.2-0:05.7</b> violence.knife" in page
    assert re.findall(r'<text class="tick" .*?>(.*?)<', page) == [f"{second} s" for second in range(0, 13, 2)]
    assert 'violence.knife <tspan class="soft">highest 0.97 at 0:04.1</tspan>' in page
    assert "data:unused" not in page


def test_a_video_without_segments_frames_or_length() -> None:
    page = render_page([Card(video_row(segments=(), timelines=(), duration_ms=None), strip=video_strip([], 3.0))])
    assert '<div class="why">no segments: no rule was read along time</div>' in page
    assert "video 0:03.0, 10 frames judged" in page
    assert 'class="timeline"' not in page
    assert "0 frames are shown; 10 were judged" in page
    assert '<ol class="strip">\n</ol>' in page
    assert '<div class="why">no segments</div>' in render_page([Card(video_row(segments=()))])


def test_regions_of_a_video_lie_on_the_frame_that_was_asked_about() -> None:
    box = Region(left=0.25, top=0.5, right=0.5, bottom=1.0)
    item = making.evidence(regions=(box,))
    strip = video_strip(film(3, 1.0), 1.0)
    page = render_page([Card(video_row(rules=(rule("r", item, frame_index=2),)), strip=strip)])
    assert f'class="map" role="img" aria-label="where: 1 regions"><img src="{strip.frames[2].picture}"' in page
    page = render_page([Card(video_row(rules=(rule("r", item, frame_index=7),)), strip=strip)])
    assert 'class="map"' not in page, "better no picture than another one"


def test_500_judged_frames_make_a_page_of_bounded_size() -> None:
    """Noise, the worst to compress, upright and large; 14 rules, as many as the sources have."""
    times = [40 * number for number in range(500)]
    scores = [number % 97 / 97 for number in range(500)]
    lines = tuple(making.timeline(f"r{n}", times, scores, ["violated"] * 500) for n in range(14))
    shown = video_row(timelines=lines, n_frames=500, duration_ms=20_000, rules=())
    strip = video_strip(film(500, 19.96, size=(320, 180), noise=True), 20.0)
    assert [strip.frames[n].index for n in (0, 1, 2, -1)] == [0, 16, 32, 499]
    page = render_page([Card(shown, strip=strip)])
    assert page.count("data:image/jpeg") == 32
    assert len(page) < 900_000
    assert max(len(frame.picture) for frame in strip.frames) < 20_000
