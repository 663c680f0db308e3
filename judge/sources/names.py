"""Finding media by its name alone: tables carry the folders of the machine on which they were made."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from judge.errors import ConfigError, quoted


class MediaNames:
    """Finds media by the base name of a row.

    Names that an archive stored as UTF-8 and that were unpacked as CP437 are found as well.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._by_name: dict[str, list[Path]] = {}
        for path in paths:
            for name in _spellings(path.name):
                self._by_name.setdefault(name, []).append(path)

    def find(self, name: str) -> Path | None:
        """None if no media has the name.

        Raises:
            ConfigError: Several have it, so that it is unclear which is meant.
        """
        base = base_name(name)
        found = list(dict.fromkeys(path for each in _spellings(base) for path in self._by_name.get(each, ())))
        if len(found) > 1:
            raise ConfigError(f"{quoted(base)} is the name of {len(found)} files: '{found[0]}', '{found[1]}'")
        return found[0] if found else None


def base_name(path: str) -> str:
    """The last part, whichever system's separators it was written with."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def _spellings(name: str) -> list[str]:
    """The name in composed form, and what it was before CP437 was taken for UTF-8."""
    spellings = [unicodedata.normalize("NFC", name)]
    with suppress(UnicodeError):
        spellings.append(unicodedata.normalize("NFC", name.encode("cp437").decode("utf-8")))
    return list(dict.fromkeys(spellings))
