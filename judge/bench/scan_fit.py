"""Fits the threshold of the relevance scan to labelled pictures, with a bound for pictures not yet seen. Pure.

The similarities of n violated pairs of picture and rule are put in order, and the threshold is the k-th highest. The
share of all violated pairs that lie above it then follows Beta(k, n + 1 - k), whatever the similarities' distribution,
and its lower quantile is the Clopper-Pearson bound of k in n. So the bound holds although the threshold is fitted to
the same pairs, as far as those are independent draws of what will be judged. Source: Wilks (1941), tolerance limits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from judge.bench.scanned import ScannedPicture
from judge.binomial import fewest_successes, fewest_trials, largest_share, lower_bound, upper_bound
from judge.config import RelevanceSettings
from judge.constitution import Constitution, Rule, names
from judge.errors import ConfigError
from judge.stages.relevance import drops, may_drop

_STEPS = 10_000
"""Thresholds are cut to four decimals: the pair next to one stays above it in another batch of the encoder too."""


@dataclass(frozen=True, slots=True)
class ScanMeasure:
    """What a scan does to labelled pictures.

    Attributes:
        violated: Violated rules that the scan may drop, over all pictures.
        kept: Those that are still asked about at least one frame.
        recall_low, recall_high: Exact bounds of the share kept, each at the given confidence; 0 and 1 without any.
        dropped: Share of all pairs of frame and rule.
        questions: One-token questions about preconditions, per picture; a frame is asked each of them once.
    """

    threshold: float
    violated: int
    kept: int
    recall_low: float
    recall_high: float
    dropped: float
    questions: float

    @property
    def recall(self) -> float:
        """nan without a violated rule."""
        return self.kept / self.violated if self.violated else math.nan


def check_enough(violated: int, always_asked: int, recall: float, confidence: float) -> None:
    """Whether a threshold can be fitted at all.

    Args:
        violated: Violated rules that the scan may drop.
        always_asked: Those that it never drops.

    Raises:
        ConfigError: Not even a scan that keeps all of them would show such a recall.
    """
    if fewest_successes(violated, recall, confidence) is not None:
        return
    needed, most = fewest_trials(recall, confidence), largest_share(violated, confidence)
    always = f" ({always_asked} more are of severities that it never drops)" if always_asked else ""
    raise ConfigError(
        f"a recall of {recall:g} with {confidence:.0%} confidence needs at least {needed} violated rules that the scan "
        f"may drop, and the labels have {violated}{always}",
        hint=f"label more pictures, or lower the recall: {violated} support at most {math.floor(most * 1000) / 1000:g}",
    )


class ScanFit:
    """Labelled pictures against which thresholds are fitted and measured.

    Args:
        rules: The rules that the pictures were scanned for.
        settings: `always_ask` counts, and in `measure` the threshold.
        confidence: Of every bound.

    Attributes:
        always_asked: Violated rules that the scan never drops: no threshold touches them, and no count has them.
    """

    def __init__(
        self,
        constitution: Constitution,
        rules: Sequence[Rule],
        pictures: Sequence[ScannedPicture],
        settings: RelevanceSettings,
        *,
        confidence: float = 0.95,
    ) -> None:
        self._rules = rules
        self._pictures = pictures
        self._settings = settings
        self.confidence = confidence
        self.pictures = len(pictures)
        self._needed = {rule.id: names(constitution.expression(rule.id)) for rule in rules}
        pairs = [(picture, rule) for picture in pictures for rule in rules if rule.id in picture.violated]
        self._nearest = sorted(
            max(frame[rule.id] for frame in picture.frames) for picture, rule in pairs if may_drop(settings, rule)
        )
        self.always_asked = len(pairs) - len(self._nearest)

    def fit(self, recall: float) -> RelevanceSettings:
        """The highest threshold under which at least this share of the violated rules is kept, with confidence.

        Raises:
            ConfigError: The labels are too few for this.
        """
        count = len(self._nearest)
        check_enough(count, self.always_asked, recall, self.confidence)
        kept = fewest_successes(count, recall, self.confidence)
        assert kept is not None, "checked"
        lowest_kept = self._nearest[count - kept]
        threshold = max(-1.0, math.floor(lowest_kept * _STEPS) / _STEPS)
        return self._settings.model_copy(update={"threshold": threshold})

    def measure(self, threshold: float) -> ScanMeasure:
        """What the scan would do with this threshold."""
        settings = self._settings.model_copy(update={"threshold": threshold})
        asked = [
            [rule.id for rule in self._rules if not drops(settings, rule, frame[rule.id])]
            for picture in self._pictures
            for frame in picture.frames
        ]
        questions = sum(len(set().union(*(self._needed[id] for id in ids))) for ids in asked)
        pairs = len(asked) * len(self._rules)
        kept, count = sum(near >= threshold for near in self._nearest), len(self._nearest)
        return ScanMeasure(
            threshold=threshold,
            violated=count,
            kept=kept,
            recall_low=lower_bound(kept, count, self.confidence),
            recall_high=upper_bound(kept, count, self.confidence),
            dropped=1.0 - sum(map(len, asked)) / pairs if pairs else 0.0,
            questions=questions / len(self._pictures) if self._pictures else 0.0,
        )
