"""Readings along a video, worked by hand; and what holds for any."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from judge.config import SamplingSettings, TimelineSettings
from judge.media.sampling import closer_frames, first_frames
from judge.metrics import interval_iou
from judge.odds import logit, sigmoid
from judge.timeline import segments, timelines, video_outcome
from judge.types import RuleDecision, RuleOutcome, Segment, Timeline, VideoInfo

_steady = settings(max_examples=100, derandomize=True, deadline=None, database=None)
OUTCOMES: dict[str, RuleOutcome] = {"V": "violated", "-": "not_violated", "?": "abstained"}
USUAL = {"V": 0.9, "-": 0.1, "?": 0.5}
DEFAULT = TimelineSettings(min_frames=2)
ACCEPT = 0.8


def decide(outcome: RuleOutcome, score: float) -> RuleDecision:
    return RuleDecision(
        rule_id="threat",
        category="harm",
        severity="high",
        outcome=outcome,
        score=score,
        stage="none" if outcome == "abstained" else "token_probability",
        expression="knife",
        reason="the model is unsure" if outcome == "abstained" else "",
    )


class Along:
    """A rule along a video: a letter per frame (violated V, calm -, undecided ?), one frame every `step_ms`."""

    def __init__(
        self,
        letters: str,
        step_ms: int = 100,
        *,
        times: Sequence[int] | None = None,
        scores: Sequence[float] | None = None,
        settings: TimelineSettings = DEFAULT,
    ) -> None:
        self.settings = settings
        self.times = list(times) if times is not None else [step_ms * n for n in range(len(letters))]
        given_scores = scores or [USUAL[letter] for letter in letters]
        self.decisions = [decide(OUTCOMES[a], score) for a, score in zip(letters, given_scores, strict=True)]
        self.duration_ms = self.times[-1] + step_ms if self.times else 0

    @property
    def timeline(self) -> Timeline:
        (only,) = timelines({"threat": self.decisions}, self.times, self.settings)
        return only

    @property
    def segments(self) -> tuple[Segment, ...]:
        return segments(self.timeline, self.settings, ACCEPT, self.duration_ms, "harm")

    @property
    def spans(self) -> list[tuple[int, int]]:
        return [(each.start_ms, each.end_ms) for each in self.segments]

    @property
    def outcome(self) -> tuple[RuleOutcome, str]:
        return video_outcome(self.timeline, self.segments, self.decisions, self.settings, ACCEPT)


def smoothed(along: Along) -> list[float]:
    return list(along.timeline.smoothed)


def test_a_timeline_has_every_frame_as_it_was_read() -> None:
    found = Along("-V?", 1000, scores=[0.2, 0.9, 0.6]).timeline
    assert found == Timeline(
        rule_id="threat",
        timestamps_ms=(0, 1000, 2000),
        scores=(0.2, 0.9, 0.6),
        smoothed=found.smoothed,
        outcomes=("not_violated", "violated", "abstained"),
    )
    assert found.smoothed == pytest.approx((0.2, 0.9, 0.6))


def test_timelines_come_in_the_order_of_the_rules_and_may_be_empty() -> None:
    calm = decide("not_violated", 0.1)
    found = timelines({"b": [calm], "a": [calm]}, [0], DEFAULT)
    assert [each.rule_id for each in found] == ["b", "a"]
    assert timelines({"a": []}, [], DEFAULT)[0] == Timeline(
        rule_id="a", timestamps_ms=(), scores=(), smoothed=(), outcomes=()
    )


def test_smoothing_averages_log_odds_over_time() -> None:
    """Every 400 ms, 500 ms to either side: 400 of the frame itself, 300 of each neighbour."""
    found = smoothed(Along("-V-", 400, scores=[0.2, 0.9, 0.4], times=[400, 800, 1200]))
    middle = (400 * logit(0.9) + 200 * logit(0.2) + 200 * logit(0.4)) / 800
    first = (200 * logit(0.2) + 300 * logit(0.9)) / 500
    assert found[:2] == pytest.approx([sigmoid(first), sigmoid(middle)])


def test_frames_close_together_weigh_no_more_than_one() -> None:
    """From 300 ms on the picture is calm: five frames say so in one case, two in the other."""
    sparse = Along("V---", times=[0, 200, 400, 600])
    dense = Along("V-----", times=[0, 200, 250, 300, 350, 600])
    assert smoothed(dense)[0] == pytest.approx(smoothed(sparse)[0])
    assert smoothed(sparse)[0] == pytest.approx(sigmoid((100 * logit(0.9) + 400 * logit(0.1)) / 500))


def test_frames_far_away_and_abstained_ones_are_not_averaged() -> None:
    assert smoothed(Along("-V-", 2000)) == pytest.approx([0.1, 0.9, 0.1])
    assert smoothed(Along("V?V", 100, scores=[0.9, 0.01, 0.9])) == pytest.approx([0.9, 0.9, 0.9])
    assert smoothed(Along("???", 100, scores=[0.9, 0.4, 0.6])) == [0.9, 0.4, 0.6]


def test_without_smoothing_or_time_scores_stay_as_they_are() -> None:
    as_read = [1.0, 0.1, 0.0]
    assert smoothed(Along("V--", scores=as_read, settings=TimelineSettings(min_frames=2, smoothing_s=0.0))) == as_read
    assert smoothed(Along("V--", times=[5, 5, 5], scores=as_read)) == as_read
    assert smoothed(Along("V", scores=[1.0])) == [1.0]


def test_certain_scores_stay_numbers() -> None:
    assert smoothed(Along("V-", 100, scores=[1.0, 0.0])) == pytest.approx([0.5, 0.5])


def test_a_segment_says_when_and_how_sure() -> None:
    found = Along("---VVV---", 1000, scores=[0.1, 0.1, 0.1, 0.85, 0.93, 0.93, 0.1, 0.1, 0.1]).segments
    assert found == (
        Segment(
            rule_id="threat",
            category="harm",
            start_ms=2500,
            end_ms=5500,
            peak_ms=4000,
            peak_probability=0.93,
            evidence_ms=(3000, 4000, 5000),
        ),
    )


@pytest.mark.parametrize(
    ("letters", "step_ms", "expected"),
    [
        ("-----", 1000, []),
        ("VVVVV", 1000, [(0, 5000)]),
        ("VV---", 1000, [(0, 1500)]),
        ("---VV", 1000, [(2500, 5000)]),
        ("--V--", 1000, []),
        ("V-V-V", 1000, []),
        ("VV-VV", 1000, [(0, 1500), (2500, 5000)]),
        ("VV-VV", 400, [(0, 2000)]),
        ("VVVVVV-VVVVVV", 100, [(0, 1300)]),
        ("-----VVVVVVVVVV-----", 100, [(450, 1450)]),
        ("----------VV----------", 100, []),
        ("V", 1000, [(0, 1000)]),
        ("V", 0, [(0, 0)]),
        ("V-", 1000, []),
        ("", 1000, []),
    ],
)
def test_segments(letters: str, step_ms: int, expected: list[tuple[int, int]]) -> None:
    """Two of ten frames a second are noise, ten in a row are not, and keep their ends in spite of smoothing.

    A video of one frame is judged by it.
    """
    assert Along(letters, step_ms).spans == expected


@pytest.mark.parametrize(
    ("letters", "step_ms", "expected"),
    [
        ("V?V", 1000, [(0, 500), (1500, 3000)]),
        ("V?V", 200, [(0, 600)]),
        ("VV??VV", 1000, [(0, 1500), (3500, 6000)]),
        ("V?-", 1000, []),
        ("V?", 1000, []),
        ("???", 1000, []),
        ("VV?", 1000, [(0, 1500)]),
        ("?VV", 1000, [(500, 3000)]),
    ],
)
def test_abstained_frames_make_and_break_nothing_and_nothing_is_claimed_of_them(
    letters: str, step_ms: int, expected: list[tuple[int, int]]
) -> None:
    assert Along(letters, step_ms).spans == expected


def test_a_single_strong_frame_is_enough_where_it_may_be() -> None:
    scores = [0.1, 0.1, 0.95, 0.1, 0.1]
    assert Along("--V--", scores=scores).spans == [(150, 250)]
    assert Along("--V--", scores=scores, settings=TimelineSettings(min_frames=2, strong=0.96)).spans == []
    certain = [0.1, 0.1, 1.0, 0.1, 0.1]
    assert Along("--V--", scores=certain, settings=TimelineSettings(min_frames=2, strong=1.0)).spans == []
    assert Along("--?--", scores=certain).spans == []


def test_a_single_frame_is_enough_if_one_is_and_nothing_outweighs_it() -> None:
    one = TimelineSettings(min_frames=1)
    assert Along("--V--", 1000, settings=one).spans == [(1500, 2500)]
    assert Along("--V--", 100, settings=one).spans == []


def test_low_scores_of_violated_frames_are_borne_out_by_each_other() -> None:
    """Five preconditions at 0.8 make 0.33."""
    assert Along("VVVVV", scores=[0.33] * 5).spans == [(0, 500)]
    assert Along("----------VVVVVVV----------", scores=[0.1] * 10 + [0.33] * 7 + [0.1] * 10).spans == [(950, 1650)]


def test_segments_that_are_close_become_one() -> None:
    """400 ms apart."""
    letters, times = "VV-VV", [0, 600, 1000, 1400, 2000]
    apart = TimelineSettings(merge_gap_s=0.4)
    together = TimelineSettings(merge_gap_s=0.401)
    assert Along(letters, times=times, settings=apart).spans == [(0, 800), (1200, 2100)]
    (merged,) = Along(letters, times=times, settings=together).segments
    assert (merged.start_ms, merged.end_ms, merged.evidence_ms) == (0, 2100, (0, 600, 1400, 2000))


def test_a_duration_before_the_last_frame_is_not_believed() -> None:
    along = Along("VV", 1000)
    assert segments(along.timeline, DEFAULT, ACCEPT, 10, "harm")[0].end_ms == 1000


@pytest.mark.parametrize(
    ("letters", "step_ms", "expected"),
    [
        ("", 100, ("abstained", "no frame was judged")),
        ("-----", 100, ("not_violated", "")),
        ("-VVV-", 1000, ("violated", "")),
        ("?VVV-", 1000, ("violated", "")),
        ("-----V-----", 100, ("not_violated", "")),
        ("V----------", 100, ("not_violated", "")),
        (
            "-?-?-",
            1000,
            ("abstained", "undecided on 2 of 5 frames, first at 1.0 s: the model is unsure"),
        ),
        (
            "--V--",
            1000,
            ("abstained", "violated on 1 of 5 frames, first at 2.0 s: too little for a moment, and nothing refutes it"),
        ),
        (
            "-----VV-----",
            100,
            (
                "abstained",
                "violated on 2 of 12 frames, first at 0.5 s: too little for a moment, and nothing refutes it",
            ),
        ),
        (
            "V-V-V-V-V-V",
            100,
            (
                "abstained",
                "violated on 6 of 11 frames, first at 0.0 s: too little for a moment, and nothing refutes it",
            ),
        ),
        (
            "-----V?-----",
            100,
            (
                "abstained",
                "violated on 1 of 12 frames, first at 0.5 s: too little for a moment, and nothing refutes it; "
                "undecided on 1 of 12 frames, first at 0.6 s: the model is unsure",
            ),
        ),
    ],
)
def test_the_outcome_of_a_video(letters: str, step_ms: int, expected: tuple[RuleOutcome, str]) -> None:
    assert Along(letters, step_ms).outcome == expected


def test_without_smoothing_nothing_is_refuted() -> None:
    assert Along("-----V-----", settings=TimelineSettings(min_frames=2, smoothing_s=0.0)).outcome[0] == "abstained"


def test_a_frame_that_the_average_still_calls_violated_is_not_refuted() -> None:
    """0.9 outweighs calm neighbours that are themselves close to violated."""
    scores = [0.7] * 5 + [0.94] + [0.7] * 5
    lone = Along("-----V-----", scores=scores)
    assert video_outcome(lone.timeline, (), lone.decisions, DEFAULT, 0.7)[0] == "abstained"
    assert video_outcome(lone.timeline, (), lone.decisions, DEFAULT, 0.8)[0] == "not_violated"


@st.composite
def any_along(draw: st.DrawFn) -> Along:
    letters = "".join(draw(st.lists(st.sampled_from("V-?"), max_size=30)))
    steps = draw(st.lists(st.integers(0, 900), min_size=len(letters), max_size=len(letters)))
    scores = draw(st.lists(st.floats(0.0, 1.0), min_size=len(letters), max_size=len(letters)))
    chosen = TimelineSettings(
        smoothing_s=draw(st.sampled_from([0.0, 0.5, 2.0])),
        strong=draw(st.sampled_from([0.9, 1.0])),
        min_frames=draw(st.integers(1, 3)),
        merge_gap_s=draw(st.sampled_from([0.0, 0.5])),
    )
    return Along(letters, times=[sum(steps[: n + 1]) for n in range(len(steps))], scores=scores, settings=chosen)


@given(any_along())
@_steady
def test_segments_are_apart_within_the_video_and_rest_on_violated_frames(along: Along) -> None:
    found = along.segments
    assert all(0.0 <= score <= 1.0 for score in along.timeline.smoothed)
    violated = {time for time, each in zip(along.times, along.decisions, strict=True) if each.outcome == "violated"}
    for each in found:
        assert 0 <= each.start_ms <= each.evidence_ms[0] <= each.evidence_ms[-1] <= each.end_ms <= along.duration_ms
        assert list(each.evidence_ms) == sorted(each.evidence_ms)
        assert set(each.evidence_ms) <= violated
        assert each.peak_ms in each.evidence_ms
    for before, after in pairwise(found):
        assert before.end_ms <= after.start_ms


@given(any_along(), st.data())
@_steady
def test_raising_a_score_takes_no_moment_away(along: Along, data: st.DataObject) -> None:
    if not along.decisions:
        return
    before = along.segments
    place = data.draw(st.integers(0, len(along.decisions) - 1))
    score = data.draw(st.floats(along.decisions[place].score, 1.0))
    along.decisions[place] = along.decisions[place].model_copy(update={"score": score})
    kept = [(each.start_ms, each.end_ms, set(each.evidence_ms)) for each in along.segments]
    for each in before:
        assert any(a <= each.start_ms and each.end_ms <= b and set(each.evidence_ms) <= on for a, b, on in kept)


@given(any_along())
@_steady
def test_a_video_is_calm_only_if_every_frame_is_decided(along: Along) -> None:
    outcome, reason = along.outcome
    assert bool(reason) == (outcome == "abstained")
    if outcome == "not_violated":
        assert along.decisions
        assert all(each.outcome != "abstained" for each in along.decisions)


@pytest.mark.parametrize("harm", [(20_300, 25_100), (0, 4000), (55_000, 60_034), (30_000, 32_500)])
def test_moments_are_found_to_the_finest_distance_with_default_settings(harm: tuple[int, int]) -> None:
    """A minute at 30 Hz, judged on at most 64 frames by a judge who never errs."""
    info = VideoInfo(tuple(n / 30 for n in range(1801)), tuple(range(0, 1801, 250)), 1801 / 30, 640, 360)
    sampling = SamplingSettings()

    def read(indices: Sequence[int]) -> dict[int, float | None]:
        return {index: 0.9 if harm[0] <= info.timestamps_s[index] * 1000 < harm[1] else 0.1 for index in indices}

    judged = read(first_frames(info, sampling))
    for _ in range(sampling.rounds):
        judged |= read(closer_frames(info, sampling, judged))
    order = sorted(judged)
    letters = "".join("V" if (judged[index] or 0.0) > 0.5 else "-" for index in order)
    along = Along(letters, times=[round(info.timestamps_s[index] * 1000) for index in order])
    along.duration_ms = round(info.duration_s * 1000)
    assert len(judged) <= 57
    assert along.spans == [pytest.approx(harm, abs=100, rel=0)]
    assert interval_iou(along.spans, [harm]) > 0.95
