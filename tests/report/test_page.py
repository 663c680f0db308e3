"""What the page shows of evidence, and that nothing of it is markup."""

from __future__ import annotations

import numpy as np

from judge.report.page import Card, render_page
from judge.report.thumbnails import thumbnail
from judge.types import Evidence, Frame, Readings, Region, RuleDecision, ScoreRow, Verdict, Versions

VERSIONS = Versions(package="0", model="m", constitution="c", templates="t", thresholds="t")


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
    assert "left: 25.0%; top: 50.0%; width: 25.0%; height: 50.0%" in page
    assert "title=&#34;&lt;knife&gt;&#34;" in page or 'title="&lt;knife&gt;"' in page
    assert page.count("<b style=") == 1, "a cell that changes nothing is not painted"
    assert "left: 0.0%; top: 50.0%; width: 50.0%; height: 50.0%; opacity: 0.50" in page
    assert "region removed 0.11" in page
    assert "control 0.66" in page


def test_without_regions_there_is_no_map() -> None:
    assert 'class="map"' not in render_page([card(evidence())])


def test_reasoning_is_shown_as_text() -> None:
    page = render_page([card(evidence(rationale="First.\n<img src=x onerror=alert(1)>"))])
    assert "First.\n&lt;img src=x onerror=alert(1)&gt;" in page
    assert "<script>knife" not in page
    assert "<b>name</b>" not in page
