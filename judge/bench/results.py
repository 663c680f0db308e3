"""What a benchmark found, as it is written to `results.json`. A number that does not exist is null."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Self

from pydantic import Field

from judge.bench.records import DetectorRecord
from judge.metrics import Measured
from judge.types import Wire

Measures = Mapping[str, "Interval"]


class Interval(Wire):
    """A value with its 95 % interval."""

    value: float | None
    """Null where there is nothing to measure."""
    low: float | None
    """2.5th percentile over resampled groups."""
    high: float | None
    """97.5th percentile."""

    @classmethod
    def of(cls, measured: Measured) -> Self:
        numbers = (measured.value, measured.low, measured.high)
        value, low, high = (None if math.isnan(number) else round(number, 6) for number in numbers)
        return cls(value=value, low=low, high=high)


class Slice(Wire):
    """Measures on some of the samples."""

    name: str
    """Which ones."""
    n: int
    """How many."""
    n_harmful: int
    """Harmful ones of them."""
    answered: Measures
    """Errors and abstentions left out."""
    as_wrong: Measures
    """Errors and abstentions counted as wrong answers."""


class Tally(Wire):
    """What became of the samples."""

    measured: int
    """Samples that count for this detector; the following ones are of these."""
    errors: int
    """It could not answer."""
    abstentions: int
    """It would not."""
    reasons: Mapping[str, int]
    """The most frequent reasons of both."""
    other_category: int
    """Left out: harmful in ways that the detector was not made for."""
    no_category: int
    """Left out: harmful in a way that has no common name, with a detector made for some kinds only."""
    missing: int
    """Left out: not asked yet."""


class Cost(Wire):
    """Per sample that was answered or abstained."""

    mean_s: float | None
    """Seconds of the detector, its share of a batch."""
    median_s: float | None
    """The same, the middle one."""
    p95_s: float | None
    """The same, exceeded by one in twenty."""
    questions: float
    """One-token questions."""
    generations: float
    """Texts written."""
    prompt_tokens: float
    """Tokens read."""
    completion_tokens: float
    """Tokens written."""
    usd_per_1000: float | None
    """US dollars for 1,000 samples; null where no cost is known."""


class Robustness(Wire):
    """What one perturbation does, on samples that were asked about with and without it."""

    perturbation: str
    """Its name."""
    explanation: str
    """What it does to a picture."""
    n: int
    """Samples."""
    n_answered: int
    """Those answered both times: what the measures are about."""
    lost: int
    """Answered without it, and not with it."""
    measures: Measures
    """`flip_rate`, its parts `to_harmless` and `to_harmful`, and `f1`, `f1_before`, `f1_change`, `average`."""


class GroupFlips(Wire):
    """Answers within groups of samples that belong together."""

    same_label: int
    """Groups whose members have one label and differ in something that should not matter."""
    flipped: int
    """Those in which the answers differ."""
    flip_rate: Interval
    """Their share, with Wilson's interval."""
    mean_spread: float | None
    """Highest less lowest score of a group, on average."""
    mixed_label: int
    """Groups with harmful and harmless members, e.g. a picture and its edited twin."""
    all_right: int
    """Those whose members are all judged rightly."""
    all_right_rate: Interval
    """Their share, with Wilson's interval."""


class Mistake(Wire):
    """A wrong answer, far from the threshold."""

    sample: str
    """Id of the sample."""
    harmful: bool
    """What people say."""
    score: float | None
    """What the detector says."""
    labels: tuple[str, ...] = ()
    """Kinds of harm, in the set's words."""


class Curves(Wire):
    """Points of drawings."""

    roc: tuple[tuple[float, float], ...]
    """(false-positive rate, true-positive rate)."""
    pr: tuple[tuple[float, float], ...]
    """(recall, precision)."""
    reliability: tuple[tuple[float, float, int], ...]
    """(mean score, share of harmful samples, samples) by tenths of the score."""


class DetectorResult(Wire):
    """One detector on one data set."""

    label: str
    """Its name in this run."""
    detector: DetectorRecord
    """What it is."""
    tally: Tally
    """What became of the samples."""
    overall: Slice
    """All samples that count."""
    categories: tuple[Slice, ...] = ()
    """Harmful samples of one kind, and all harmless ones."""
    origins: tuple[Slice, ...] = ()
    """Real and synthetic samples."""
    attributes: Mapping[str, tuple[Slice, ...]] = Field(default_factory=dict)
    """By the values of the set's other columns, e.g. false positives by the type of stimulus."""
    frames: FrameResult | None = None
    """Where the set says when videos are harmful."""
    groups: GroupFlips | None = None
    """Where the set has groups."""
    cost: Cost
    """What an answer takes."""
    robustness: tuple[Robustness, ...] = ()
    """By perturbation."""
    curves: Curves
    """For drawings."""
    mistakes: tuple[Mistake, ...] = ()
    """The worst misses and the worst false alarms."""


class FrameSlice(Wire):
    """Measures over the frames of some videos."""

    videos: int
    """How many."""
    harmful_videos: int
    """Harmful ones of them."""
    frames: int
    """Of these videos, without those that the data set leaves open."""
    harmful_frames: int
    """Harmful ones of them."""
    measures: Measures
    """`frame_ap` and `frame_auroc`."""


class FrameResult(Wire):
    """Frame by frame, over videos of which is known when they are harmful."""

    answered: FrameSlice
    """Videos along which the detector gave scores."""
    as_wrong: FrameSlice
    """All of them: without scores, every frame of a video has the worst one."""
    silent: Mapping[str, int]
    """Why videos have no scores along time, the most frequent reasons: they count in `as_wrong` alone."""
    left_out: int
    """Videos that count in neither, because it is not known which frames are harmful."""
    reasons: Mapping[str, int]
    """Why, the most frequent reasons."""
    unclear: int
    """Frames that the data set leaves open."""
    cut: int
    """Videos with a harmful moment that ends after the video, by no more than a second: it ends there."""


class Pair(Wire):
    """Two detectors on the samples that count for both."""

    first: str
    """Label."""
    second: str
    """Label."""
    n: int
    """Samples that count for both."""
    n_answered: int
    """Those that both answered."""
    only_first_right: int
    """Of these, those that only the first got right."""
    only_second_right: int
    """And only the second."""
    p: float
    """McNemar's exact test of these two numbers."""
    p_as_wrong: float
    """The same over all samples, with errors and abstentions as wrong answers."""
    measures: Measures
    """`kappa` and `agreement` between them; `average_gain` and `f1_gain` of the first over the second."""


class Majority(Wire):
    """All detectors together, on the samples that count for all of them."""

    judges: tuple[str, ...]
    """Labels."""
    together: Slice
    """What more than half of those who answered say; half and half is an abstention."""
    alone: tuple[Slice, ...]
    """Each of them on the same samples."""
    fleiss_kappa: float | None
    """Agreement of all beyond chance, where all answered."""
    n_all_answered: int
    """How many samples that is about."""


class Published(Wire):
    """Figures of a paper, as shares."""

    method: str
    """As the paper names it."""
    tpr: float | None = None
    """Harmful samples found."""
    tnr: float | None = None
    """Unharmful samples cleared."""
    average: float
    """The mean of the two."""


class BenchResult(Wire):
    """`results.json`."""

    source: str
    """Data set and split."""
    card: str
    """Dataset card; empty for none."""
    card_digest: str
    """Of the card."""
    samples: int
    """Labelled samples."""
    harmful: int
    """Harmful ones of them."""
    unlabelled: int
    """Rows without a usable label: not asked about."""
    doubtful: int
    """Labelled samples that the set itself has doubts about; they count."""
    all_categories: bool
    """Every harmful sample counted for every detector."""
    rounds: int
    """Resamples behind every interval."""
    seed: int
    """Of the resamples."""
    detectors: tuple[DetectorResult, ...]
    """In the order they were asked for."""
    pairs: tuple[Pair, ...] = ()
    """Every two detectors."""
    majority: Majority | None = None
    """Where there are several."""
    published: tuple[Published, ...] = ()
    """Reference lines."""
    published_source: str = ""
    """The paper they come from."""
    notes: tuple[str, ...] = ()
    """What a reader must know."""
