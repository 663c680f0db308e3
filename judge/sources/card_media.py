"""From a row of a card to the locator of its media."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from judge.errors import ConfigError, MediaError, quoted
from judge.media import FileMedia
from judge.media.listing import media_below
from judge.sources.card import MediaRule
from judge.sources.card_rows import CardRow
from judge.sources.folder import is_media_name
from judge.sources.names import MediaNames
from judge.sources.paths import LocalPlace, path_below, url_scheme
from judge.sources.readers.table import as_text, cell
from judge.sources.sample import Locator, TableCell


@dataclass(frozen=True)
class MediaFinder:
    """Looks below one root; the names of all media there are read once, if a rule needs them."""

    rule: MediaRule
    root: Path
    split: str

    def find(self, row: CardRow) -> Locator:
        """Where the media of a row lies.

        Raises:
            MediaError: The row names no media, or none that is there.
        """
        if row.path is not None:
            return FileMedia(path=row.path)
        if (held := self._bytes(row)) is not None:
            return held
        said = next((text for name in self.rule.columns if (text := as_text(cell(row.cells, name)))), "")
        if not said:
            raise MediaError(f"it names no media: {' and '.join(self.rule.columns)} are empty")
        if url_scheme(said):
            return LocalPlace(self.root).locate(said)
        names = self._spellings(said)
        path = self._lying(names) or (self._by_name(names) if self.rule.by_base_name else None)
        if path is None:
            raise MediaError(f"{quoted(said)} does not exist below the root")
        return FileMedia(path=path)

    def _bytes(self, row: CardRow) -> TableCell | None:
        """A column that holds the media itself."""
        table = row.table
        for name in self.rule.columns if table else ():
            for column in (name, f"{name}.bytes"):
                if table and column in table.bytes_in:
                    return TableCell(path=table.where, row=row.number, column=column)
        return None

    def _spellings(self, said: str) -> list[str]:
        name = said.replace("\\", "/")
        return [name] if is_media_name(name) or not self.rule.suffixes else [name + each for each in self.rule.suffixes]

    def _lying(self, names: Sequence[str]) -> Path | None:
        escaped: MediaError | None = None
        for at in self.rule.at:
            for name in names:
                try:
                    found = self._at(at.replace("{split}", self.split), name)
                except MediaError as error:
                    escaped = escaped or error
                    continue
                if found is not None:
                    return found
        if escaped is not None and not self.rule.by_base_name:
            raise escaped
        return None

    def _at(self, at: str, name: str) -> Path | None:
        if not glob.has_magic(at):
            path = path_below(self.root, at.replace("{cell}", name))
            return path if os.path.isfile(path) else None
        path_below(self.root, at.replace("{cell}", name))
        pattern = at.replace("{cell}", glob.escape(name))
        try:
            found = [path for path in self.root.glob(pattern) if is_media_name(path.name) and path.is_file()]
        except OSError as error:  # a name too long
            raise MediaError(f"{quoted(name)} is no path: {error.strerror}") from error
        found = sorted((_inside(self.root, path) for path in found), key=_natural)
        if len(found) > 1 and self.rule.pick == "only":
            raise MediaError(f"{quoted(pattern)} fits {len(found)} files")
        return found[-1] if found else None

    def _by_name(self, names: Sequence[str]) -> Path | None:
        try:
            found = next((path for name in names if (path := self._names.find(name))), None)
        except ConfigError as error:
            raise MediaError(error.message) from error
        return _inside(self.root, found) if found else None

    @cached_property
    def _names(self) -> MediaNames:
        return MediaNames(media_below(str(self.root)).media)


def _inside(root: Path, path: Path) -> Path:
    """A path that was found below the root, unless it is a link that leads out."""
    return path_below(root, str(path.relative_to(root)))


def _natural(path: Path) -> list[tuple[int, str]]:
    """`step_2` before `step_10`."""
    parts = re.split(r"(\d+)", PurePosixPath(path.as_posix()).as_posix())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
