"""Which media came before, for any number of them: kept in temporary files, beyond a small cache."""

from __future__ import annotations

import sqlite3

_BANDS = 4
_BAND_BITS = 16
NEAR_BITS = 3
"""Hashes that differ in at most so many of their 64 bits are near; found by the one band of four that is equal then."""


class SeenKeys:
    """Row numbers by key; the first row of a key stays."""

    def __init__(self) -> None:
        self._base = sqlite3.connect("", isolation_level=None)  # SQLite's own temporary file, gone with the process
        self._base.execute("PRAGMA journal_mode = OFF")
        self._base.execute("CREATE TABLE seen (key BLOB PRIMARY KEY, row INTEGER) WITHOUT ROWID")

    def first(self, key: str, row: int) -> int | None:
        """The row with this key that came first; None if it is this one, which is noted."""
        digest = bytes.fromhex(key)
        added = self._base.execute("INSERT OR IGNORE INTO seen VALUES (?, ?)", (digest, row)).rowcount
        if added:
            return None
        found = int(self._base.execute("SELECT row FROM seen WHERE key = ?", (digest,)).fetchone()[0])
        return None if found == row else found


class SeenNear:
    """Row numbers by perceptual hash, and by the text that was posted with the picture."""

    def __init__(self) -> None:
        self._base = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._base.execute("PRAGMA journal_mode = OFF")
        bands = ", ".join(f"b{band} INTEGER" for band in range(_BANDS))
        self._base.execute(f"CREATE TABLE seen (hash BLOB, text TEXT, row INTEGER, {bands})")
        for band in range(_BANDS):
            self._base.execute(f"CREATE INDEX by_{band} ON seen (b{band})")

    def first(self, near_hash: str, text: str, row: int) -> int | None:
        """The earliest row that is near; None if there is none: then this one is noted."""
        value, bands = _split(near_hash)
        any_band = " OR ".join(f"b{band} = ?" for band in range(_BANDS))
        query = f"SELECT hash, row FROM seen WHERE row != ? AND text = ? AND ({any_band})"
        near = [
            int(found)
            for other, found in self._base.execute(query, (row, text, *bands))
            if (int.from_bytes(other) ^ value).bit_count() <= NEAR_BITS
        ]
        if near:
            return min(near)
        self.note(near_hash, text, row)
        return None

    def note(self, near_hash: str, text: str, row: int) -> None:
        _, bands = _split(near_hash)
        marks = ", ".join("?" * (3 + _BANDS))
        self._base.execute(f"INSERT INTO seen VALUES ({marks})", (bytes.fromhex(near_hash), text, row, *bands))


def _split(near_hash: str) -> tuple[int, list[int]]:
    value = int(near_hash, 16)
    return value, [(value >> (_BAND_BITS * band)) & (2**_BAND_BITS - 1) for band in range(_BANDS)]
