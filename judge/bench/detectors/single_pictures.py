"""Detectors of single pictures and the media they are handed: animations are looked at frame by frame."""

from __future__ import annotations

from collections.abc import Sequence

from judge.bench.detectors.base import Prediction
from judge.errors import JudgeError, MediaError
from judge.media.image import sample_evenly
from judge.types import Frame, Media, Modality

PICTURES: frozenset[Modality] = frozenset({"image"})
_NOT_TAKEN = "it is {kind}, and this detector takes pictures and animations"
_LONGEST_REASON = 300


def not_a_picture(media: Media) -> str:
    """Why a detector of pictures abstains; empty if it need not.

    An animation is a handful of pictures in memory. Which moments of a video file to look at is a decision of its own.
    """
    if media.kind == "text":
        return _NOT_TAKEN.format(kind="text")
    return _NOT_TAKEN.format(kind="a video") if media.video is not None else ""


def pictures_of(media: Media, most: int) -> tuple[Frame, ...]:
    """At most so many frames, spread evenly.

    Raises:
        MediaError: There is none, or one is not `(height, width, 3) uint8`.
    """
    if not media.frames:
        raise MediaError(f"'{media.source}' has no picture")
    frames = tuple(media.frames[place] for place in sample_evenly(len(media.frames), most))
    for frame in frames:
        shape = frame.image.shape
        if len(shape) != 3 or shape[2] != 3 or 0 in shape or frame.image.dtype != "uint8":
            raise MediaError(f"'{media.source}', frame {frame.index}: {frame.image.dtype} {shape} is no RGB picture")
    return frames


def abstained(reason: str) -> Prediction:
    return Prediction(None, None, reason=reason)


def failed(error: Exception) -> Prediction:
    """The reason on one line. What is not ours may be anything, so its kind is said as well."""
    told = str(error) if isinstance(error, JudgeError) else f"{type(error).__name__}: {error}"
    return Prediction(None, None, reason=" ".join(told.split())[:_LONGEST_REASON], failed=True)


def highest(predictions: Sequence[Prediction]) -> Prediction:
    """Of the frames of one media, at least one: the highest score; without one frame's score there is none.

    Usage, time and cost are those of all of them.
    """
    usage = predictions[0].usage
    for each in predictions[1:]:
        usage += each.usage
    missing = next((each for each in predictions if each.score is None), None)
    chosen = missing or max(predictions, key=lambda each: (each.flagged is True, each.score or 0.0))
    kinds = {} if missing else dict.fromkeys(kind for each in predictions for kind in each.category_scores)
    return Prediction(
        chosen.score, chosen.flagged,
        {kind: max(each.category_scores.get(kind, 0.0) for each in predictions) for kind in kinds},
        reason=chosen.reason, failed=chosen.failed, usage=usage, model_s=sum(each.model_s for each in predictions),
    )  # fmt: skip
