"""What the parts of a run tell each other: how much may be under way, who tried what, and that it is to end.

One object a run; on a cluster an actor holds it. Nothing here waits, so that nobody can be made to wait for ever.
"""

from __future__ import annotations

import threading
from collections import Counter
from typing import Literal, Protocol

MayRead = Literal["go", "wait", "stop"]
MOST_DEAD = 3
"""Bundles in a row of which the engine judged nothing, each tried twice, after which the run ends."""


class Control(Protocol):
    """As the parts of a run see it."""

    def may_read(self, number: int, n_bytes: int) -> MayRead:
        """Whether the reader may pass on its next bundle."""
        ...

    def is_stopping(self) -> bool:
        """Whether what is not judged yet shall not be."""
        ...

    def begin(self, number: int) -> int:
        """Somebody begins to judge a bundle; the answer counts from 1 how often that happened."""
        ...

    def begin_alone(self, index: int) -> int:
        """The same of one row that is judged alone, counting what did not come to its end."""
        ...

    def end_alone(self, index: int) -> None:
        """It did."""
        ...

    def engine_answers(self, answers: bool) -> bool:
        """Note of a bundle whether the engine judged anything of it; false if it is time to give up."""
        ...

    def finished(self, number: int) -> None:
        """The rows of a bundle have arrived."""
        ...

    def stop(self) -> None:
        """Nothing more is read or judged."""
        ...


class LocalControl:
    """For threads of one process.

    Args:
        most_bundles: Under way at the same time.
        most_bytes: Encoded bytes of them; one bundle may always be.
    """

    def __init__(self, most_bundles: int, most_bytes: int = 128 * 2**20) -> None:
        self._most_bundles = most_bundles
        self._most_bytes = most_bytes
        self._under_way: dict[int, int] = {}
        self._attempts: Counter[int] = Counter()
        self._alone: Counter[int] = Counter()
        self._passed = -1
        self._stopping = False
        self._dead = 0
        self._lock = threading.Lock()

    def may_read(self, number: int, n_bytes: int) -> MayRead:
        with self._lock:
            if number <= self._passed:
                return "go"  # a reader that was started again gives the same bundles again
            if self._stopping:
                return "stop"
            full = len(self._under_way) >= self._most_bundles
            if full or (self._under_way and sum(self._under_way.values()) + n_bytes > self._most_bytes):
                return "wait"
            self._under_way[number] = n_bytes
            self._passed = number
            return "go"

    def is_stopping(self) -> bool:
        return self._stopping

    def begin(self, number: int) -> int:
        with self._lock:
            self._attempts[number] += 1
            return self._attempts[number]

    def begin_alone(self, index: int) -> int:
        with self._lock:
            self._alone[index] += 1
            return self._alone[index]

    def end_alone(self, index: int) -> None:
        with self._lock:
            self._alone[index] -= 1

    def engine_answers(self, answers: bool) -> bool:
        with self._lock:
            self._dead = 0 if answers else self._dead + 1
            return self._dead < MOST_DEAD

    def finished(self, number: int) -> None:
        with self._lock:
            self._under_way.pop(number, None)
            self._attempts.pop(number, None)
            if not self._under_way:
                self._alone.clear()

    def stop(self) -> None:
        self._stopping = True
