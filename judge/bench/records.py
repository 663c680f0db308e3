"""One line of a benchmark's predictions, what a run was made of, and how both become JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Annotated, Self, TypeVar

from pydantic import Field, model_validator
from pydantic_core import PydanticSerializationError

from judge.bench.detectors.base import DetectorInfo, Moment, Prediction
from judge.bench.video_frames import VideoFrames
from judge.sources.categories import Category
from judge.types import Modality, Probability, Usage, Wire

FORMAT = "visual-judge bench 1"
"""Of the files of a run."""

_PAST_END_S = 1.0
"""Timestamps of decoders differ; what lies further behind the end is an error."""
Row = TypeVar("Row", bound=Wire)
Seconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Key = tuple[str, str, str]
"""Sample, label of the detector, perturbation."""


class Predicted(Wire):
    """One line of `predictions.jsonl`."""

    sample: str
    """Id of the sample."""
    detector: str
    """Label of the detector in this run."""
    perturbation: str = ""
    """What was done to the media before; empty for nothing."""
    media: str = ""
    """sha256 of the media's bytes; empty where there were none."""
    score: Probability | None = None
    """As `Prediction`, and so are the others."""
    flagged: bool | None = None
    """None for an abstention or an error."""
    category_scores: Mapping[Category, Probability] = Field(default_factory=dict)
    """By common name."""
    reason: str = ""
    """Why nothing was said; never empty then."""
    failed: bool = False
    """An error, as opposed to an abstention."""
    usage: Usage = Usage()
    """Tokens and questions."""
    model_s: float = Field(default=0.0, ge=0.0)
    """Seconds that the detector took."""
    cost_usd: float | None = None
    """Of paid calls."""
    video: VideoFrames | None = None
    """Of a video: its frames, which moments and the set's intervals are laid on."""
    moments: tuple[tuple[Seconds, Probability], ...] = ()
    """As `Prediction`: (seconds, score), ascending, one for a time."""

    @model_validator(mode="after")
    def _moments_ascend(self) -> Self:
        if any(later <= earlier for (earlier, _), (later, _) in pairwise(self.moments)):
            raise ValueError("moments must be in the order of time, one for a time")
        return self

    @property
    def key(self) -> Key:
        return self.sample, self.detector, self.perturbation


class DetectorRecord(Wire):
    """As `DetectorInfo`."""

    name: str
    """Full name."""
    digest: str
    """Same digest, same predictions."""
    modalities: tuple[Modality, ...]
    """Media that it takes."""
    categories: tuple[Category, ...] | None
    """Kinds of harm that it was made for; None = any."""
    threshold: float
    """A score from here on is flagged."""
    reads_text: bool = False
    """It reads the words posted with a picture."""
    source: str = ""
    """Paper or model card."""

    @classmethod
    def of(cls, info: DetectorInfo) -> Self:
        kinds = None if info.categories is None else tuple(sorted(info.categories))
        return cls(
            name=info.name, digest=info.digest, modalities=tuple(sorted(info.modalities)), categories=kinds,
            threshold=info.threshold, reads_text=info.reads_text, source=info.source,
        )  # fmt: skip


class RunRecord(Wire):
    """`run.json`: what the predictions were made by, and on what."""

    format: str = FORMAT
    """Version of the three files."""
    source: str
    """Name of the data set and split, for people."""
    card: str = ""
    """Dataset card; empty where the source has none."""
    card_digest: str = ""
    """Of the card."""
    split: str = ""
    """Of the data set."""
    perturbed_by: str = ""
    """Version of the perturbations."""
    detectors: Mapping[str, DetectorRecord] = Field(default_factory=dict)
    """By their labels in this run."""


def to_row(
    sample: str, detector: str, perturbation: str, media: str, said: Prediction, *, video: VideoFrames | None = None
) -> Predicted:
    """A line for the file. A score that is none, and silence about an empty answer, become failures with a reason.

    Moments are put in the order of time; of several at the same time, the highest score counts.
    """
    score, reason, failed, flagged = said.score, said.reason, said.failed, said.flagged
    if score is not None and not _is_score(score):
        failed, reason = True, f"its score {score} is not between 0 and 1"
    elif not failed and (wrong := _wrong_moment(said.moments, video)):
        failed, reason = True, wrong
    if failed:
        score, flagged = None, None
    if flagged is None and not reason:
        reason = "it gave no answer and no reason"
    kinds = {name: value for name, value in said.category_scores.items() if 0.0 <= value <= 1.0}
    return Predicted(
        sample=sample, detector=detector, perturbation=perturbation, media=media, score=score, flagged=flagged,
        category_scores=kinds, reason=reason, failed=failed, usage=said.usage, model_s=max(said.model_s, 0.0),
        cost_usd=said.cost_usd, video=video, moments=() if failed else tuple(dict(sorted(said.moments)).items()),
    )  # fmt: skip


def _is_score(score: float) -> bool:
    return math.isfinite(score) and 0.0 <= score <= 1.0


def _wrong_moment(moments: Sequence[Moment], video: VideoFrames | None) -> str:
    """Why scores along time are none; empty if they are."""
    end_s = math.inf if video is None else video.end_ms / 1000.0 + _PAST_END_S
    for time_s, score in moments:
        if not (math.isfinite(time_s) and 0.0 <= time_s <= end_s):
            return f"it has a score at {time_s} s, which is no time in the media"
        if not _is_score(score):
            return f"its score {score} at {time_s} s is not between 0 and 1"
    if video is not None and len(moments) > video.count:
        return f"it has {len(moments)} scores along {video.count} frames"
    return ""


def to_json(value: Wire, *, indent: int | None = None, exclude_defaults: bool = False) -> str:
    """Also of names of files that are no Unicode, whose bytes Python keeps as halves of surrogate pairs."""
    try:
        return value.model_dump_json(indent=indent, exclude_defaults=exclude_defaults)
    except PydanticSerializationError:
        plain = value.model_dump(mode="json", exclude_defaults=exclude_defaults)
        return json.dumps(plain, indent=indent)


def from_json(kind: type[Row], text: bytes) -> Row:
    """What `to_json` wrote.

    Raises:
        ValidationError: It is something else.
    """
    if b"\\ud" in text.lower():
        with suppress(ValueError):
            return kind.model_validate(json.loads(text))
    return kind.model_validate_json(text)
