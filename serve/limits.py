"""How much may be under way in one gateway: refused before a body is read, so that memory does not grow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import HTTPConnection

from serve.problems import Overloaded
from serve.settings import ServeSettings

_PLACE = "place"


class Admission:
    """Counts media and bytes of bodies under way. A request counts as one media until it says how many it has."""

    def __init__(self, settings: ServeSettings) -> None:
        queue = settings.queue
        self.max_media = queue.max_ongoing * settings.judges.max_replicas + queue.max_queued
        self.max_bytes = queue.max_queued_bytes
        self.n_media = 0
        self.n_bytes = 0
        self._retry_after_s = queue.retry_after_s

    @contextmanager
    def enter(self, n_bytes: int) -> Iterator[Place]:
        """A place for one request with so large a body. Raises `Overloaded` if there is none."""
        place = Place(self)
        place.resize(n_media=1, n_bytes=n_bytes)
        try:
            yield place
        finally:
            place.leave()

    def check(self, n_media: int, n_bytes: int) -> None:
        """Raises `Overloaded` if there is no room for so much more."""
        if self.n_media + n_media > self.max_media:
            raise Overloaded("too many media are under way", retry_after_s=self._retry_after_s)
        if self.n_bytes + n_bytes > self.max_bytes:
            raise Overloaded("too much data is under way", retry_after_s=self._retry_after_s)


class Place:
    """What one request holds of the room."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._n_media = 0
        self._n_bytes = 0

    def resize(self, *, n_media: int | None = None, n_bytes: int | None = None) -> None:
        """Hold so much from now on; a request that is alone is never refused. Raises `Overloaded`."""
        more_media = 0 if n_media is None else n_media - self._n_media
        more_bytes = 0 if n_bytes is None else n_bytes - self._n_bytes
        others = self._admission.n_media - self._n_media
        if others > 0 and (more_media > 0 or more_bytes > 0):
            self._admission.check(max(0, more_media), max(0, more_bytes))
        self._hold(more_media, more_bytes)

    def leave(self) -> None:
        self._hold(-self._n_media, -self._n_bytes)

    def _hold(self, n_media: int, n_bytes: int) -> None:
        self._n_media += n_media
        self._n_bytes += n_bytes
        self._admission.n_media += n_media
        self._admission.n_bytes += n_bytes


def remember_place(request: HTTPConnection, place: Place) -> None:
    """So that the route can say how many media there are."""
    setattr(request.state, _PLACE, place)


def admit_media(request: HTTPConnection, n_media: int) -> None:
    """The request has so many media. Raises `Overloaded` if there is no room for them."""
    place: Place | None = getattr(request.state, _PLACE, None)
    if place is not None:
        place.resize(n_media=n_media)
