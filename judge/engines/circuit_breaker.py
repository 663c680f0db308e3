"""Remembers that a server could not be reached, so that thousands of requests do not each find out by themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable

COOL_DOWN_S = 10.0


class CircuitBreaker:
    """Closed (requests pass) until `trip`; then one request per cool-down passes, until one reaches the server.

    Args:
        clock: In seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._next_s: float | None = None
        self.reason = ""

    @property
    def tripped(self) -> bool:
        with self._lock:
            return self._next_s is not None

    def admits(self) -> bool:
        """Whether a request may be sent now. The one that may after a cool-down is the probe for all others."""
        with self._lock:
            if self._next_s is None:
                return True
            if self._clock() < self._next_s:
                return False
            self._next_s = self._clock() + COOL_DOWN_S
            return True

    def trip(self, reason: str) -> None:
        """The server cannot be reached."""
        with self._lock:
            self.reason = reason
            self._next_s = self._clock() + COOL_DOWN_S

    def reset(self) -> None:
        """The server has answered something."""
        with self._lock:
            self._next_s = None
