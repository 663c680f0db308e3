"""Where the drawing of a timeline puts its points."""

from __future__ import annotations

import pytest

from judge.report.chart import ROW_PX, WIDTH_PX, Bar, chart
from judge.types import Verdict
from tests.report.making import segment, timeline, video_row


def verdict(**more: object) -> Verdict:
    found = video_row(**more).verdict
    assert found is not None
    return found


def test_points_bars_and_ticks_by_hand() -> None:
    """908 px stand for 10 s, from 36 on; a row's plot is 34 px high, below 18 px for its name."""
    line = timeline("a", [0, 5000, 10_000], [0.0, 0.5, 1.0], ["not_violated", "abstained", "violated"])
    line = line.model_copy(update={"smoothed": (0.25, 0.5, 0.75)})
    drawn = chart(verdict(timelines=(line,), segments=(segment("a", 7500, 10_000, 10_000),), duration_ms=10_000))
    (row,) = drawn.rows
    assert row.smoothed == "M36.0 43.5L490.0 35.0L944.0 26.5"
    assert row.dots == (
        ("not_violated", "M36.0 52.0h0"), ("abstained", "M490.0 35.0h0"), ("violated", "M944.0 18.0h0"),
    )  # fmt: skip
    assert row.bars == (Bar(717.0, 227.0, "0:07.5-0:10.0 a, peak 0.97"),)
    assert row.label == "highest 1.00 at 0:10.0"
    assert drawn.ticks == tuple((round(36 + 90.8 * second, 1), f"{second} s") for second in range(11))


def test_rules_with_segments_come_first_also_those_found_on_clips_alone() -> None:
    drawn = chart(verdict(segments=(segment("violence.fall", 1000, 2000, 1500),)))
    assert [row.rule_id for row in drawn.rows] == ["violence.fall", "violence.knife", "violence.fire"]
    assert [row.top for row in drawn.rows] == [18, 18 + ROW_PX, 18 + 2 * ROW_PX]
    assert (drawn.rows[0].label, drawn.rows[0].smoothed, len(drawn.rows[0].bars)) == (
        "no readings on single frames", "", 1,
    )  # fmt: skip


@pytest.mark.parametrize("duration_ms", [None, 0, 1, 40, 12_400, 61_000, 3_600_000, 4 * 3_600_000, 400 * 3_600_000])
def test_any_length_is_drawn_within_the_page(duration_ms: int | None) -> None:
    """Also one shorter than its readings: the longest time counts."""
    drawn = chart(verdict(duration_ms=duration_ms))
    xs = [float(point.split(" ")[0]) for point in drawn.rows[0].smoothed[1:].split("L")]
    xs += [x for x, _ in drawn.ticks] + [bar.x + bar.width for row in drawn.rows for bar in row.bars]
    assert min(xs) >= 36
    assert max(xs) <= WIDTH_PX
    assert 2 <= len(drawn.ticks) <= 12


def test_a_single_frame_at_the_start() -> None:
    drawn = chart(verdict(duration_ms=None, segments=(), timelines=(timeline("a", [0], [0.9], ["violated"]),)))
    assert drawn.rows[0].smoothed == "M36.0 21.4"
