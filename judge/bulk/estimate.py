"""What a labelling will cost and how long it will take, from a few of its own rows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from judge.bulk.control import LocalControl
from judge.bulk.counts import Counts
from judge.bulk.item import Bundle, Item
from judge.bulk.judging import EngineDied, JudgingSpec, Labeller
from judge.bulk.local import Step
from judge.bulk.plan import ReadPlan
from judge.bulk.reader import read_item
from judge.errors import EngineError

_COUNTING_S = 20.0
_LOOK_EVERY = 1000


@dataclass(frozen=True, slots=True)
class Estimate:
    """Of a whole labelling, with so many judges.

    Attributes:
        rows: To be judged; `exact` is false if the source was too long to count to its end.
        tried: Rows that were judged to find out.
        start_s: Until the engine was ready.
        row_s: For one row with one judge.
    """

    rows: int
    exact: bool
    tried: int
    failed: int
    escalation_rate: float
    start_s: float
    row_s: float
    tokens_a_row: float
    judges: int

    @property
    def seconds(self) -> float:
        return self.start_s + self.rows * self.row_s / self.judges

    @property
    def tokens(self) -> int:
        return round(self.rows * self.tokens_a_row)

    def as_json(self, price: float | None) -> dict[str, float | int | bool | None]:
        cost = None if price is None else self.tokens * price / 1e6
        return {
            "rows": self.rows, "exact": self.exact, "tried": self.tried, "failed": self.failed,
            "escalation_rate": self.escalation_rate, "start_s": self.start_s, "row_s": self.row_s,
            "judges": self.judges, "seconds": self.seconds, "tokens": self.tokens, "cost": cost,
        }  # fmt: skip


def count_rows(plan: ReadPlan, n_written: int) -> tuple[int, bool]:
    """Rows that are left, and whether they could all be counted in time. No media is read."""
    stream = plan.source.open()
    chosen = plan.selection
    if stream.total is not None and chosen.share >= 1.0:
        total = stream.total if chosen.limit is None else min(stream.total, chosen.limit)
        return max(total - n_written, 0), True
    ends_at = time.monotonic() + _COUNTING_S
    n_rows = 0
    for n_rows, _ in enumerate(chosen.of(iter(stream)), start=1):
        if n_rows % _LOOK_EVERY == 0 and time.monotonic() > ends_at:
            return max(n_rows - n_written, 0), False
    return max(n_rows - n_written, 0), True


def estimate(
    plan: ReadPlan, judging: JudgingSpec, steps: Sequence[Step], *, n_written: int, judges: int, tried: int
) -> Estimate:
    """Judge the first few rows that are not written, and write nothing.

    Raises:
        JudgeError: The source cannot be read, or the engine cannot be started.
    """
    rows, exact = count_rows(plan, n_written)
    chosen = islice(plan.selection.of(iter(plan.source.open())), n_written, n_written + tried)
    items = tuple(read_item(index, sample, plan.permissions) for index, sample in enumerate(chosen))
    began_s = time.monotonic()
    labeller = Labeller(judging.start(), LocalControl(1))
    try:
        start_s = time.monotonic() - began_s
        counts, judging_s = _judged(labeller, steps, items)
    except EngineDied as error:
        raise EngineError("the engine answered nothing about the first rows") from error
    finally:
        labeller.close()
    return Estimate(
        rows=rows, exact=exact, tried=counts.rows, failed=counts.errors, escalation_rate=counts.escalation_rate,
        start_s=start_s, row_s=judging_s / counts.rows if counts.rows else 0.0,
        tokens_a_row=counts.tokens / counts.rows if counts.rows else 0.0, judges=judges,
    )  # fmt: skip


def _judged(labeller: Labeller, steps: Sequence[Step], items: tuple[Item, ...]) -> tuple[Counts, float]:
    bundle = Bundle(0, items)
    for step in steps:
        bundle = step(bundle)
    began_s = time.monotonic()
    counts = Counts()
    counts.add(labeller(bundle).rows)
    return counts, time.monotonic() - began_s
