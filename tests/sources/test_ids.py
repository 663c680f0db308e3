from __future__ import annotations

import pytest

from judge.sources import ids
from judge.sources.ids import SeenIds, unique
from judge.sources.sample import NoMedia, Sample


def test_ids_are_known_again_after_they_were_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "_FRESH", 16)
    seen = SeenIds()
    count = 1000
    assert all(seen.add(f"row {number}") for number in range(count))
    assert not any(seen.add(f"row {number}") for number in range(count))
    assert seen.add("another")


def test_repeated_ids_get_their_place_whatever_came_before() -> None:
    names = ["a", "b", "a", "a#2", "a", "\ud800"]
    samples = [Sample(id=name, locator=NoMedia(), modality="image") for name in names]
    assert [each.id for each in unique(samples)] == ["a", "b", "a#2", "a#2#3", "a#4", "\ud800"]
