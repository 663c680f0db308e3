"""NudeNet 3.4, a detector of naked body parts. Its package holds the weights, so nothing is loaded from a hub.

Source: https://github.com/notAI-tech/NudeNet. The package says MIT of itself and carries an AGPL-3.0 licence file: it
is never bundled, and only imported here.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from judge import __version__
from judge.bench.detectors.base import DetectorInfo, DetectorSettings, Prediction
from judge.bench.detectors.nudenet_profiles import CLASS_SETS, CLASSES, Profile, find_profile, read_classes
from judge.bench.detectors.options import read_options
from judge.bench.detectors.per_frame import abstained, failed, highest
from judge.bench.detectors.pictures import PICTURES, frames_of, why_not
from judge.config import Settings
from judge.errors import ConfigError, EngineError, JudgeError
from judge.sources.needs import need
from judge.types import Frame, Media

_SIDES_PX = (320, 640)


class _Network(Protocol):
    """The package's `NudeDetector`: takes `(height, width, 3) uint8 BGR` and gives a dictionary per detection."""

    def detect(self, image_path: NDArray[np.uint8]) -> Sequence[Mapping[str, object]]: ...


class NudeNetOptions(Settings):
    """Options of `nudenet`."""

    version: Literal["v3"] = "v3"
    """Of the weights; those of version 2 are not part of the package."""
    profile: str = "5-0.5"
    """Class set and threshold by one name; `classes` and `threshold` are laid over it."""
    classes: str | int | tuple[str, ...] | None = None
    """5 or 9 for a published set, or classes by name; null = the profile's."""
    resolution_px: Annotated[int, Field(ge=32, le=2048, multiple_of=32)] = 320
    """Side of the square that the network sees; other weights (`model`) may need 640."""
    max_frames: Annotated[int, Field(ge=1)] = 8
    """Frames of an animation that are looked at, evenly spread; the highest score counts."""


class NudeNet:
    """See `judge.bench.detectors.base.Detector`. The score is that of the surest detection that counts; 0 without any.

    Args:
        network: The package's detector.
        info: `threshold` decides.
        classes: Those that count.
        max_frames: See `NudeNetOptions`.
    """

    def __init__(self, network: _Network, info: DetectorInfo, *, classes: Sequence[str], max_frames: int) -> None:
        self._network: _Network | None = network
        self._info = info
        self._classes = frozenset(classes)
        self._max_frames = max_frames

    @classmethod
    def from_settings(cls, settings: DetectorSettings) -> Self:
        options = read_options(NudeNetOptions, settings, uses=("model",))
        profile = _profile(settings, options)
        package = need("nudenet", "detector 'nudenet'", extra="nudenet")
        weights = Path(settings.model or Path(str(package.__file__)).parent / "320n.onnx")
        if not weights.is_file():
            raise ConfigError(f"detector 'nudenet': there is no file '{weights}'", hint="model is a file *.onnx")
        try:
            network = package.NudeDetector(model_path=str(weights), inference_resolution=options.resolution_px)
        except Exception as error:  # onnxruntime has errors of its own for every kind of broken file
            raise EngineError(f"detector 'nudenet': '{weights}' cannot be loaded: {error}") from error
        info = _describe(settings, options, profile, weights)
        return cls(network, info, classes=profile.classes, max_frames=options.max_frames)

    @property
    def info(self) -> DetectorInfo:
        return self._info

    async def detect(self, media: Sequence[Media]) -> list[Prediction]:
        return [await asyncio.to_thread(self._one, each) for each in media]

    async def close(self) -> None:
        self._network = None

    def _one(self, media: Media) -> Prediction:
        if reason := why_not(media):
            return abstained(reason)
        try:
            return highest([self._look(frame) for frame in frames_of(media, self._max_frames)])
        except JudgeError as error:
            return failed(error)

    def _look(self, frame: Frame) -> Prediction:
        if self._network is None:
            return failed(EngineError("detector 'nudenet' is closed"))
        started_s = time.perf_counter()
        try:
            # The package takes what cv2.imread gives, which is BGR: with RGB its answers are others, and no error.
            found = self._network.detect(np.ascontiguousarray(frame.image[:, :, ::-1]))
            score = _score(found, self._classes)
        except Exception as error:  # OpenCV's and onnxruntime's own
            return failed(error)
        model_s = time.perf_counter() - started_s
        return Prediction(score, score >= self._info.threshold, {"sexual": score}, model_s=model_s)


def _score(found: Sequence[Mapping[str, object]], classes: frozenset[str]) -> float:
    """Raises `EngineError` for what is no probability, or a class that nobody knows."""
    best = 0.0
    for each in found:
        name, score = each.get("class"), each.get("score")
        if name not in CLASSES or not isinstance(score, float) or not 0.0 <= score <= 1.0:
            raise EngineError(f"NudeNet gave '{name}' the score {score}: not a class or a probability of version 3")
        best = max(best, score) if name in classes else best
    return best


def _profile(settings: DetectorSettings, options: NudeNetOptions) -> Profile:
    profile = find_profile(options.profile)
    if options.classes is not None:
        profile = replace(profile, classes=read_classes(options.classes))
    return profile if settings.threshold is None else replace(profile, threshold=settings.threshold)


def _describe(settings: DetectorSettings, options: NudeNetOptions, profile: Profile, weights: Path) -> DetectorInfo:
    sets = {frozenset(classes): size for size, classes in CLASS_SETS.items()}
    size = sets.get(frozenset(profile.classes))
    shown = f"{size} classes" if size else "+".join(profile.classes)
    seen = {
        "package": __version__, "nudenet": _package_version(), "weights": _sha256(weights),
        "classes": sorted(profile.classes), "threshold": profile.threshold,
        "resolution_px": options.resolution_px, "max_frames": options.max_frames,
    }  # fmt: skip
    return DetectorInfo(
        name=settings.label or f"nudenet({options.version}, {shown}, {profile.threshold:g})",
        digest=hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest(),
        modalities=PICTURES,
        categories=frozenset({"sexual"}),
        threshold=profile.threshold,
        source="https://github.com/notAI-tech/NudeNet",
    )


def _package_version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("nudenet")
    except PackageNotFoundError:
        return ""


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for part in iter(partial(file.read, 1 << 20), b""):
            digest.update(part)
    return digest.hexdigest()
