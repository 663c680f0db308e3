"""Which files there are: names only, no file is opened here (that is `fetch`)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

IMAGE_SUFFIXES = frozenset(
    {
        ".apng",
        ".avif",
        ".bmp",
        ".dib",
        ".gif",
        ".jfif",
        ".jpe",
        ".jpeg",
        ".jpg",
        ".png",
        ".tif",
        ".tiff",
        ".webp",
    }
)
"""Names that are taken for pictures in a folder; what a file really is shows when it is read."""
VIDEO_SUFFIXES = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".webm"})
"""Names that are taken for videos."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies below a folder, in order; `unreadable` pairs a subfolder with the reason."""

    media: tuple[Path, ...]
    n_other: int
    unreadable: tuple[tuple[Path, str], ...]


def is_folder(path: str) -> bool:
    """Whether `path` is a folder that can be seen."""
    return os.path.isdir(path)


def is_pattern(argument: str) -> bool:
    """Whether it is meant as a glob: it has wildcards, and no file has that very name."""
    return has_magic(argument) and not os.path.lexists(argument)


def files_matching(pattern: str) -> list[Path]:
    """Files, sorted, whatever their suffix; `**` crosses folders; hidden names only if the pattern spells the dot."""
    return sorted(Path(name) for name in glob(pattern, recursive=True) if not os.path.isdir(name))


def media_below(folder: str) -> Listing:
    """Pictures and videos of a folder and its subfolders. Hidden names are skipped, links to folders not followed."""
    media: list[Path] = []
    unreadable: list[tuple[Path, str]] = []
    n_other = 0

    def note(error: OSError) -> None:
        unreadable.append((Path(str(error.filename)), error.strerror or str(error)))

    for parent, folders, names in os.walk(folder, onerror=note):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if name.startswith(".") or path.suffix.lower() not in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
                n_other += 1
            else:
                media.append(path)
    return Listing(tuple(sorted(media)), n_other, tuple(sorted(unreadable)))
