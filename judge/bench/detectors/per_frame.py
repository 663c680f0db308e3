"""From frames to one prediction of their media. Not here: which frames (`pictures`)."""

from __future__ import annotations

from collections.abc import Sequence

from judge.bench.detectors.base import Prediction
from judge.errors import JudgeError
from judge.types import Usage

_LONGEST_REASON = 300


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
