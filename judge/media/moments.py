"""From moments to the frames nearest to them. Pure: times in, positions out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from judge.types import VideoInfo

Times = NDArray[np.float64]


def times_of(info: VideoInfo) -> Times:
    return np.array(info.timestamps_s, dtype=np.float64)


def nearest(times: Times, wanted: Times) -> NDArray[np.intp]:
    """For each wanted time, the position of the nearest; the earlier of two."""
    after = np.minimum(np.searchsorted(times, wanted), len(times) - 1)
    before = np.maximum(after - 1, 0)
    return np.where(wanted - times[before] <= np.abs(times[after] - wanted), before, after)


def nearest_to_ticks(times: Times, rate_hz: float) -> NDArray[np.intp]:
    """Position of the time nearest to each tick, among the times that no other tick is nearer to.

    The work grows with the times, not with the ticks.
    """
    ticks = np.rint(times * rate_hz)
    distances = np.round(np.abs(times * rate_hz - ticks), 6)
    order = np.lexsort((distances, ticks))
    _, first = np.unique(ticks[order], return_index=True)
    return np.asarray(order[first], dtype=np.intp)


def distinct(indices: NDArray[np.intp]) -> tuple[int, ...]:
    return tuple(int(index) for index in np.unique(indices))
