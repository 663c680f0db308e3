"""Verdicts of this process, kept for the same bytes under the same versions; bounded in number and in memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from judge.types import Verdict


class VerdictCache:
    """The least recently used go first.

    Args:
        entries: Most verdicts; 0 = none are kept.
        max_bytes: Most memory, as JSON.
    """

    def __init__(self, entries: int, max_bytes: int) -> None:
        self._entries = entries
        self._max_bytes = max_bytes
        self._kept: OrderedDict[Hashable, tuple[str, int]] = OrderedDict()
        self._n_bytes = 0

    @property
    def n_bytes(self) -> int:
        return self._n_bytes

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable) -> Verdict | None:
        found = self._kept.get(key)
        if found is None:
            return None
        self._kept.move_to_end(key)
        return Verdict.model_validate_json(found[0])

    def put(self, key: Hashable, verdict: Verdict) -> None:
        """Larger than the whole cache: not kept."""
        text = verdict.model_dump_json()  # a tenth of the objects' memory
        size = len(text.encode())
        if not self._entries or size > self._max_bytes:
            return
        self._drop(key)
        self._kept[key] = (text, size)
        self._n_bytes += size
        while len(self._kept) > self._entries or self._n_bytes > self._max_bytes:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Hashable) -> None:
        _, size = self._kept.pop(key, ("", 0))
        self._n_bytes -= size
