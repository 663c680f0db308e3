"""Detectors of single pictures and the media they are handed: animations are looked at frame by frame."""

from __future__ import annotations

from collections.abc import Sequence

from judge.bench.detectors.base import Prediction
from judge.errors import JudgeError, MediaError
from judge.media.image import sample_evenly
from judge.types import Frame, Media, Modality, Usage

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
    """Of the frames of one media, at least one: the highest score.

    A flagged frame is enough, whatever became of the others. Without one, a frame that was not answered leaves the
    whole unanswered. Usage, time and cost are those of all of them.
    """
    open_one = next((each for each in predictions if each.flagged is None), None)
    flagged = any(each.flagged for each in predictions)
    silent = open_one if open_one is not None and not flagged else None
    scores = [each.score for each in predictions if each.score is not None]
    known = flagged or len(scores) == len(predictions)
    kinds = dict.fromkeys(kind for each in predictions for kind in each.category_scores) if known else {}
    costs = [each.cost_usd for each in predictions if each.cost_usd is not None]
    return Prediction(
        max(scores) if known else None,
        None if silent else flagged,
        {kind: max(each.category_scores.get(kind, 0.0) for each in predictions) for kind in kinds},
        reason=silent.reason if silent else "",
        failed=silent.failed if silent else False,
        usage=sum((each.usage for each in predictions), Usage()),
        model_s=sum(each.model_s for each in predictions),
        cost_usd=sum(costs) if costs else None,
    )
