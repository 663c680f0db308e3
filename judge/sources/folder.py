"""Folders, globs and single files of this machine as samples."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from judge.media import FileMedia
from judge.media.listing import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from judge.sources.columns import Columns
from judge.sources.labels import read_label
from judge.sources.paths import guess_modality
from judge.sources.sample import Locator, NoMedia, Sample

_SUFFIXES = IMAGE_SUFFIXES | VIDEO_SUFFIXES


def is_media_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in _SUFFIXES


def walk_folder(root: Path, columns: Columns) -> Iterator[Sample]:
    """The pictures and videos below a folder, each subfolder sorted by name; the names of one lie in memory at a time.

    Hidden names are skipped and links to folders not followed, as for `judge score`.
    """
    for path, problem in _walk(root):
        name = path.relative_to(root).as_posix()
        if problem:
            yield Sample(id=name, locator=NoMedia(), modality="image", problem=problem)
        else:
            yield file_sample(name, path, name.split("/")[0] if columns.folder_is_label and "/" in name else "")


def file_sample(id: str, path: Path, label: str = "") -> Sample:
    return labelled_file(id, FileMedia(path=path), path.name, label)


def labelled_file(id: str, locator: Locator, name: str, label: str) -> Sample:
    """A file with the folder it lies in for a label, or with none."""
    harmful = read_label(label, numbers=False)
    labels = (label,) if label and harmful is None else ()
    return Sample(id=id, locator=locator, modality=guess_modality(name), labels=labels, harmful=harmful)


def _walk(root: Path) -> Iterator[tuple[Path, str]]:
    """Media, and subfolders that cannot be listed with the reason; without recursion, however deep folders go."""
    waiting = [(root, True)]
    while waiting:
        path, is_folder = waiting.pop()
        if not is_folder:
            yield path, ""
            continue
        try:
            with os.scandir(path) as entries:
                found = sorted((each.name, each.is_dir(follow_symlinks=False)) for each in entries if _counts(each))
        except OSError as error:
            yield path, f"the folder cannot be listed: {error.strerror}"
            continue
        waiting += [(path / name, below) for name, below in reversed(found)]


def _counts(entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith("."):
        return False
    return entry.is_dir(follow_symlinks=False) or (is_media_name(entry.name) and not _leads_to_folder(entry))


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    """A link that leads nowhere, or round in a circle, is a file that cannot be read."""
    try:
        return entry.is_dir()
    except OSError:
        return False
