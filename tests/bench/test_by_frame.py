"""A detector frame by frame, from samples and predictions: what counts, what does not, and that nothing is silent."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from judge.bench.bench_report import tables
from judge.bench.detectors.base import Moment, Prediction
from judge.bench.evaluate import Options, evaluate
from judge.bench.page import render_bench
from judge.bench.predictions import PREDICTIONS, PredictionFile, read_predictions
from judge.bench.records import DetectorRecord, Predicted, RunRecord, to_json, to_row
from judge.bench.results import BenchResult, FrameResult
from judge.bench.video_frames import VideoFrames
from judge.errors import ConfigError
from judge.sources.sample import Intervals, NoMedia, Sample, Span

TEN = VideoFrames(count=10, rate_hz=10.0)
ALONG: list[Moment] = [(0.0, 0.1), (0.4, 0.9), (0.8, 0.3)]
HOSTILE = '<script>alert(1)</script>"\u202e'
RUN = RunRecord(
    source="set",
    detectors={
        "one": DetectorRecord(name="n", digest="d", modalities=("video",), categories=None, threshold=0.5),
        "two": DetectorRecord(name="n", digest="e", modalities=("image",), categories=None, threshold=0.5),
    },
)


def sample(id: str, harmful: bool, *spans: Span, problem: str = "", known: bool = True) -> Sample:
    when = Intervals(unit="ms", harmful=spans, problem=problem) if known else None
    return Sample(id=id, locator=NoMedia(), modality="video", harmful=harmful, intervals=when)


def said(
    sample: str, moments: list[Moment] | None = None, *, video: VideoFrames | None = TEN, **more: object
) -> Predicted:
    fields = {"score": 0.5, "flagged": True, "moments": ALONG if moments is None else moments, **more}
    return to_row(sample, "one", "", "", Prediction(**fields), video=video)  # type: ignore[arg-type]


def result(samples: list[Sample], rows: list[Predicted], labels: tuple[str, ...] = ("one",)) -> BenchResult:
    return evaluate(RUN, samples, rows, labels, Options(rounds=30))


def found(samples: list[Sample], rows: list[Predicted]) -> FrameResult:
    (detector,) = result(samples, rows).detectors
    assert detector.frames is not None
    return detector.frames


def test_by_hand() -> None:
    samples = [sample("a", True, (250, 650)), sample("b", False), sample("c", False)]
    rows = [said("a"), said("b", [(0.0, 0.3), (0.4, 0.9)], video=VideoFrames(count=5, rate_hz=10.0))]
    frames = found(samples, rows)  # c has not been asked about
    assert (frames.answered.videos, frames.answered.harmful_videos) == (2, 1)
    assert (frames.answered.frames, frames.answered.harmful_frames) == (15, 4)
    precision = frames.answered.measures["frame_ap"]
    assert precision.value == pytest.approx(3 / 4 * 3 / 7 + 1 / 4 * 4 / 13, abs=1e-6)
    assert precision.low is not None
    assert frames.as_wrong == frames.answered
    assert (frames.silent, frames.left_out, frames.reasons, frames.unclear, frames.cut) == ({}, 0, {}, 0, 0)


def test_without_scores_along_time_a_video_is_as_wrong_as_can_be() -> None:
    samples = [sample("a", True, (250, 650)), sample("b", True, (0, 200)), sample("c", False), sample("d", False)]
    broke = said("b", score=None, flagged=None, reason="out of memory", failed=True)
    shy = said("c", [], score=None, flagged=None, reason="unsure")
    frames = found(samples, [said("a"), broke, shy, said("d", [])])
    assert (frames.answered.videos, frames.as_wrong.videos) == (1, 4)
    assert (frames.as_wrong.frames, frames.as_wrong.harmful_frames) == (40, 6)
    assert frames.silent == {"out of memory": 1, "unsure": 1, "it gives no scores along a video": 1}
    # 1.0: 28 harmless; 0.9: 3 and 1; 0.3: 1 and 3; 0.1: 2 harmless; 0: 2 harmful
    assert frames.as_wrong.measures["frame_ap"].value == pytest.approx(
        3 / 6 * 3 / 32 + 1 / 6 * 4 / 36 + 2 / 6 * 6 / 40, abs=1e-6
    )
    assert (frames.answered.measures["frame_ap"].value or 0) > (frames.as_wrong.measures["frame_ap"].value or 1)


def test_what_is_not_known_is_left_out_and_counted() -> None:
    samples = [
        sample("a", True, (250, 650)), sample("when", True), sample("also", True), sample("gone", False),
        sample("broken", True, problem="odd"), sample("late", True, (5000, 6000)), sample("old", False),
        sample("cut", True, (900, 1500)),
    ]  # fmt: skip
    gone = said("gone", video=None, score=None, flagged=None, reason="'gone' cannot be read", failed=True)
    rows = [*(said(id) for id in ("a", "when", "also", "broken", "late", "cut")), gone, said("old", [], video=None)]
    frames = found(samples, rows)
    assert (frames.answered.videos, frames.as_wrong.videos, frames.left_out, frames.cut) == (2, 2, 6, 1)
    assert frames.reasons == {
        "it is harmful, and nothing says when": 2,
        "its harmful moments cannot be read: odd": 1,
        "a harmful or unclear moment begins after its end": 1,
        "'gone' cannot be read": 1,
        "its frames are not known: it is no video, or was asked about before frames were kept": 1,
    }
    assert frames.answered.harmful_frames == 5


def test_a_detector_of_pictures_has_no_number_and_the_reason() -> None:
    samples = [sample("a", True, (250, 650)), sample("b", False)]
    rows = [
        said(id, [], score=None, flagged=None, reason="it takes no video").model_copy(update={"detector": "two"})
        for id in "ab"
    ]
    (detector,) = result(samples, rows, ("two",)).detectors
    assert detector.frames is not None
    assert detector.frames.answered.videos == 0
    assert {each.value for each in detector.frames.answered.measures.values()} == {None}
    assert detector.frames.silent == {"it takes no video": 2}


def test_sets_that_never_say_when_have_no_such_part() -> None:
    (detector,) = result([sample("a", True, known=False), sample("b", False, known=False)], [said("a")]).detectors
    assert detector.frames is None


def test_it_is_shown_with_what_is_missing() -> None:
    samples = [sample("a", True, (250, 650)), sample("b", True), sample("c", False), sample("d", True, problem=HOSTILE)]
    rows = [said("a"), said("b"), said("c", [], score=None, flagged=None, reason=HOSTILE), said("d")]
    whole = result(samples, rows)
    page = render_bench(whole, {})
    for words in ("Frame by frame", "AP by frame", "1 without scores along time", "2 left out",
                  "1 of these: <bdi>it is harmful, and nothing says when"):  # fmt: skip
        assert words in page, words
    assert "<script>" not in page
    console = Console(width=150, file=io.StringIO(), record=True)
    for table in tables(whole):
        console.print(table)
    text = console.export_text()
    for words in ("frame by frame", "silence as wrong", "1 of 2", "2 left out"):
        assert words in text, words
    without = result([sample("a", True, known=False), sample("b", False, known=False)], [said("a")])
    assert "Frame by frame" not in render_bench(without, {})


# --- what is written down -------------------------------------------------------------------------------------------


def test_moments_are_put_in_order_and_survive_the_file(tmp_path: Path) -> None:
    row = said("a", [(0.8, 0.25), (0.0, 1.0), (0.4, 0.5), (0.4, 0.75), (0.4, 0.0)])
    assert row.moments == ((0.0, 1.0), (0.4, 0.75), (0.8, 0.25))
    with PredictionFile(tmp_path, RUN) as file:
        file.append([row, said("b", [], video=None)])
    assert list(read_predictions(tmp_path)) == [row, said("b", [], video=None)]
    short = (tmp_path / PREDICTIONS).read_text().splitlines()[1]
    assert "moments" not in short
    assert "video" not in short


def test_lines_of_earlier_versions_are_read(tmp_path: Path) -> None:
    line = '{"sample":"a","detector":"one","media":"abc","score":0.25,"flagged":false,"model_s":0.5}\n'
    with PredictionFile(tmp_path, RUN):
        (tmp_path / PREDICTIONS).write_text(line)
    (row,) = read_predictions(tmp_path)
    assert (row.score, row.video, row.moments) == (0.25, None, ())


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("moments", "told"),
    [
        ([(0.0, NAN)], "its score nan at 0.0 s"),
        ([(0.0, 0.5), (0.1, INF)], "its score inf at 0.1 s"),
        ([(0.0, -0.01)], "its score -0.01"),
        ([(0.0, 1.01)], "its score 1.01"),
        ([(NAN, 0.5)], "a score at nan s"),
        ([(INF, 0.5)], "a score at inf s"),
        ([(-0.1, 0.5)], "a score at -0.1 s"),
        ([(2.5, 0.5)], "a score at 2.5 s, which is no time in the media"),
        ([(1e300, 0.5)], "no time in the media"),
        ([(number / 100, 0.5) for number in range(11)], "11 scores along 10 frames"),
    ],
)
def test_scores_along_time_that_are_none_are_a_failure(moments: list[Moment], told: str) -> None:
    row = said("a", moments)
    assert (row.failed, row.flagged, row.score, row.moments) == (True, None, None, ())
    assert told in row.reason


@pytest.mark.parametrize(
    "moments",
    ["[[0.4,0.5],[0.1,0.5]]", "[[0.4,0.5],[0.4,0.5]]", "[[0.4,2]]", "[[-1,0.5]]", "[[0.4,null]]", "[[0.4]]", "7"],
)
def test_a_file_with_other_moments_is_refused(tmp_path: Path, moments: str) -> None:
    with PredictionFile(tmp_path, RUN) as file:
        file.append([said("a", [(0.4, 0.5)])])
    path = tmp_path / PREDICTIONS
    path.write_text(path.read_text().replace("[[0.4,0.5]]", moments))
    with pytest.raises(ConfigError, match="line 1: "):
        list(read_predictions(tmp_path))


def test_results_are_read_again_as_they_were() -> None:
    samples = [sample("a", True, (250, 650)), sample("b", True)]
    whole = result(samples, [said("a"), said("b")])
    assert BenchResult.model_validate_json(to_json(whole)) == whole
