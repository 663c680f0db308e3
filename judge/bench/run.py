"""Asks detectors about samples and writes down what they say, a batch at a time.

A picture is decoded once for all detectors and perturbations. A video's bytes are read once; it is opened anew for
every question, because a decoder may only live for so long. What cannot be read is a failed prediction of everybody.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from judge.bench.detectors.base import Detector, Prediction
from judge.bench.perturbations import Perturbation, combine
from judge.bench.predictions import PredictionFile
from judge.bench.records import Key, Predicted, to_row
from judge.bench.video_frames import VideoFrames
from judge.errors import ConfigError, JudgeError
from judge.media import InlineMedia, Permissions, load_media
from judge.sources.read import read_bytes
from judge.sources.sample import NoMedia, Sample
from judge.types import Media

_PART_BYTES = 256 * 2**20
"""Decoded pictures and encoded videos in memory at once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run asks.

    Attributes:
        detectors: By their labels.
        perturbations: Asked about beside the media as it is.
        batch: Most pictures in one call of a detector.
    """

    detectors: Mapping[str, Detector]
    perturbations: tuple[Perturbation, ...] = ()
    permissions: Permissions = field(default_factory=lambda: Permissions(files=True))
    batch: int = 16

    @property
    def names(self) -> tuple[str, ...]:
        """Of the perturbations, the empty one first."""
        return ("", *(each.name for each in self.perturbations))

    def keys(self, sample: Sample) -> set[Key]:
        """Every prediction that is wanted of a sample."""
        return {(sample.id, label, name) for label in self.detectors for name in self.names}


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A sample in memory: a decoded picture, or the bytes of a video and when its frames are; or why neither."""

    sample: Sample
    media: Media | None = None
    video: InlineMedia | None = None
    frames: VideoFrames | None = None
    reason: str = ""

    @property
    def n_bytes(self) -> int:
        pixels = sum(frame.image.nbytes for frame in self.media.frames) if self.media else 0
        return pixels + (len(self.video.data) if self.video else 0)


def with_labels(pairs: Iterable[tuple[str, Detector]]) -> dict[str, Detector]:
    """Detectors by the label that was given, or else by their own names.

    Raises:
        ConfigError: Two have the same.
    """
    found: dict[str, Detector] = {}
    for label, detector in pairs:
        name = label or detector.info.name
        if name in found:
            raise ConfigError(f"two detectors are called '{name}'", hint="give one another name with label=...")
        found[name] = detector
    return found


async def predict(
    samples: Iterable[Sample], plan: Plan, file: PredictionFile, done: Collection[Key]
) -> AsyncIterator[int]:
    """Ask for what is not `done` yet; gives the number of predictions that are there, after every call.

    Raises:
        ConfigError: The predictions cannot be written.
    """
    finished = 0
    for part, skipped in _parts(samples, plan, done):
        finished += skipped * len(plan.names) * len(plan.detectors)
        for name, perturbation in zip(plan.names, (None, *plan.perturbations), strict=True):
            pictures: dict[int, tuple[Media, ...]] = {}
            for label, detector in plan.detectors.items():
                wanted = [each for each in part if (each.sample.id, label, name) not in done]
                said = await _ask(detector, wanted, perturbation, pictures)
                file.append(_row(each, label, name, answer) for each, answer in zip(wanted, said, strict=True))
                finished += len(part)
                yield finished
        yield finished


def _parts(samples: Iterable[Sample], plan: Plan, done: Collection[Key]) -> Iterator[tuple[list[_Loaded], int]]:
    """What has to be asked about, in memory, and how many samples before or between had not."""
    part: list[_Loaded] = []
    skipped = n_bytes = 0
    for sample in samples:
        if all(key in done for key in plan.keys(sample)):
            skipped += 1
            continue
        part.append(_load(sample, plan.permissions))
        n_bytes += part[-1].n_bytes
        if len(part) >= plan.batch or n_bytes >= _PART_BYTES:
            yield part, skipped
            part, skipped, n_bytes = [], 0, 0
    if part or skipped:
        yield part, skipped


def _load(sample: Sample, permissions: Permissions) -> _Loaded:
    if sample.modality == "text":
        digest = hashlib.sha256(sample.text.encode("utf-8", "surrogatepass")).hexdigest()
        return _Loaded(sample, Media(digest, "text", (), 0.0, sample.id, text=sample.text))
    try:
        found = read_bytes(sample.locator, permissions)
        inline = InlineMedia(data=found.data, name=found.source)
        media = load_media(inline, permissions)
    except JudgeError as error:
        missing = isinstance(sample.locator, NoMedia) and sample.problem
        return _Loaded(sample, reason=missing or str(error))
    if media.video is None:
        return _Loaded(sample, replace(media, text=sample.text))
    frames = VideoFrames.of(media.video.info)
    media.video.close()
    return _Loaded(sample, replace(media, video=None, text=sample.text), inline, frames)


async def _ask(
    detector: Detector,
    wanted: Sequence[_Loaded],
    perturbation: Perturbation | None,
    pictures: dict[int, tuple[Media, ...]],
) -> list[Prediction]:
    """One prediction per sample, in order.

    Args:
        pictures: Perturbed pictures that an earlier detector was shown, by the ids of their samples in memory.
    """
    found: dict[int, Prediction] = {}
    together: list[tuple[int, tuple[Media, ...]]] = []
    for place, each in enumerate(wanted):
        if each.media is None:
            found[place] = Prediction(None, None, reason=each.reason, failed=True)
        elif each.media.kind not in detector.info.modalities:
            found[place] = Prediction(None, None, reason=f"it takes no {each.media.kind}")
        elif each.video is not None:
            found[place] = await _watched(detector, each, perturbation)
        else:
            if id(each) not in pictures:
                pictures[id(each)] = perturbation.apply(each.media) if perturbation else (each.media,)
            together.append((place, pictures[id(each)]))
    answers = iter(await _answers(detector, [media for _, several in together for media in several]))
    for place, several in together:
        found[place] = combine([next(answers) for _ in several])
    return [found[place] for place in range(len(wanted))]


async def _watched(detector: Detector, each: _Loaded, perturbation: Perturbation | None) -> Prediction:
    """A video, opened for every part that is judged by itself."""
    said: list[Prediction] = []
    for part in range(len(perturbation.changes) if perturbation else 1):
        try:
            assert each.video is not None
            media = replace(load_media(each.video, Permissions()), text=each.sample.text)
        except JudgeError as error:
            return Prediction(None, None, reason=str(error), failed=True)
        try:
            shown = perturbation.apply(media)[part] if perturbation else media
            said += await _answers(detector, [shown])
        finally:
            if media.video is not None:
                media.video.close()
    return combine(said)


async def _answers(detector: Detector, media: Sequence[Media]) -> list[Prediction]:
    """One per media, whatever the detector does: a run of hours must not end with one broken call."""
    if not media:
        return []
    try:
        found = await detector.detect(media)
    except JudgeError as error:
        reason = str(error)
    except Exception as error:  # detectors are other people's code
        reason = f"{type(error).__name__}: {error}"
    else:
        if len(found) == len(media):
            return found
        reason = f"it gave {len(found)} answers about {len(media)} media"
    return [Prediction(None, None, reason=reason, failed=True) for _ in media]


def _row(each: _Loaded, label: str, perturbation: str, said: Prediction) -> Predicted:
    media = each.media.id if each.media else ""
    return to_row(each.sample.id, label, perturbation, media, said, video=each.frames)
