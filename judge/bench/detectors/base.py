"""What every detector promises. `tests/contracts/detectors.py` holds all of them to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol, Self

from pydantic import Field, JsonValue

from judge.config import Fraction, Settings
from judge.sources.categories import Category
from judge.types import Media, Modality, Usage


@dataclass(frozen=True, slots=True)
class DetectorInfo:
    """What a detector is, and what it may be measured on.

    Attributes:
        name: As reports show it, e.g. `nudenet(v3, 5 classes, 0.5)`.
        digest: Of weights, settings and code version: same digest, same predictions.
        modalities: Media that it takes; of other media it abstains.
        categories: Kinds of harm that it was made for; None = harm of any kind. It is measured on samples of these, and
            on harmless ones.
        threshold: A score from here on is flagged.
        reads_text: It takes the words posted with a picture into account.
        source: Paper or model card, for reports.
    """

    name: str
    digest: str
    modalities: frozenset[Modality]
    categories: frozenset[Category] | None
    threshold: float
    reads_text: bool = False
    source: str = ""


Moment = tuple[float, float]
"""Seconds from the beginning of a video, and the score there."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a detector said about one piece of media.

    Attributes:
        score: In [0, 1], rising with harm; None where it gave none.
        flagged: None for an abstention or an error, and then `reason` says why: never "not harmful".
        category_scores: By common name, for those it tells apart.
        failed: It could not answer (an error), as opposed to would not (an abstention).
        model_s: Seconds that the detector took, its share of a batch.
        cost_usd: Of paid calls; None where nothing is known.
        moments: Scores along a video, by time, where it looked at single moments; a frame that it could not read has
            none. They may say more than `score`, which is about the whole.
    """

    score: float | None
    flagged: bool | None
    category_scores: Mapping[Category, float] = field(default_factory=dict)
    reason: str = ""
    failed: bool = False
    usage: Usage = field(default_factory=Usage)
    model_s: float = 0.0
    cost_usd: float | None = None
    moments: Sequence[Moment] = ()


class DetectorSettings(Settings):
    """How one detector is set up; a list of these is what `judge bench` runs."""

    name: str
    """Name in the registry, e.g. `nudenet`."""
    label: str = ""
    """Name in reports; empty = the detector's own."""
    model: str = ""
    """Folder or hub id of its weights; empty = the published ones."""
    base_url: str = ""
    """Of a service, for detectors behind HTTP."""
    api_key_env: str = ""
    """Environment variable with the key for it."""
    threshold: Fraction | None = None
    """A score from here on is flagged; None = the published threshold, or the detector's own."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, ..."""
    batch: Annotated[int, Field(ge=1)] = 16
    """Most media in one call."""
    options: Mapping[str, JsonValue] = Field(default_factory=dict)
    """What only this detector knows, by name; an unknown one is an error."""


class Detector(Protocol):
    """Batch in, batch out, order kept. One thread at a time."""

    @property
    def info(self) -> DetectorInfo: ...

    async def detect(self, media: Sequence[Media]) -> list[Prediction]:
        """One prediction per media, in order; none for an empty batch.

        A failure is a prediction with `failed`, and spoils nothing else in the batch. Media of a kind that is not in
        `info.modalities` is an abstention with the reason, not an error.
        """
        ...

    async def close(self) -> None: ...


class ConfigurableDetector(Detector, Protocol):
    """A detector that can be named in settings."""

    @classmethod
    def from_settings(cls, settings: DetectorSettings) -> Self:
        """Load it. Slow: seconds to minutes.

        Raises:
            ConfigError: Its package or weights are missing, or an option is unknown or wrong.
            EngineError: The model cannot be started.
        """
        ...
