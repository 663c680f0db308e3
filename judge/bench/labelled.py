"""Labelled pictures on disk, in VHD11K's files: `harmful_image_<split>_ann.csv` beside the folders of pictures.

Only the media and the decisions are read (`vhd11k`), and the groups of `scenes_<split>.jsonl` where there is one.
Source of the layout: VHD11K (arXiv 2409.19734).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from judge.bench.vhd11k import MediaNames, read_annotations
from judge.errors import ConfigError, JudgeError
from judge.media import FileMedia, Permissions, load_media
from judge.media.listing import pictures_below
from judge.types import Media


@dataclass(frozen=True, slots=True)
class Labelled:
    """One labelled piece of media. Members of a `group` belong together (a picture and its edited twin)."""

    id: str
    media: Media
    harmful: bool
    group: str


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """A split in memory, and the rows that could not be used, each with its reason."""

    name: str
    items: tuple[Labelled, ...]
    left_out: Mapping[str, str]


def split_names(folder: Path) -> tuple[str, ...]:
    """The splits of a folder, sorted."""
    files = folder.glob("harmful_image_*_ann.csv")
    return tuple(sorted(file.name.removeprefix("harmful_image_").removesuffix("_ann.csv") for file in files))


def load_split(folder: Path, split: str, *, count: int | None = None) -> LabelledSet:
    """Read a split, at most `count` rows of it.

    Raises:
        ConfigError: There is no such split, or its table lacks a column.
    """
    path = folder / f"harmful_image_{split}_ann.csv"
    if not path.is_file():
        hint = f"the folder has {', '.join(split_names(folder)) or 'no splits'}"
        raise ConfigError(f"split table '{path}' cannot be read: there is no such file", hint=hint)
    groups = _groups(folder / f"scenes_{split}.jsonl")
    items: list[Labelled] = []
    left_out: dict[str, str] = {}
    for row in read_annotations(path).rows[:count]:
        id = Path(row.path).stem
        if row.harmful is None:
            left_out[row.path] = f"its decision is '{row.said}', neither yes nor no"
            continue
        try:
            media = load_media(FileMedia(path=folder / row.path), Permissions(files=True))
        except JudgeError as error:
            left_out[row.path] = str(error)
            continue
        items.append(Labelled(id, media, row.harmful, groups.get(id, id)))
    return LabelledSet(split, tuple(items), left_out)


def _groups(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {str(row["id"]): str(row["group"]) for row in rows}


@dataclass(frozen=True, slots=True)
class LabelledFile:
    """Labelled media that has not been read; `name` is its path below the folder."""

    name: str
    path: Path
    harmful: bool
    harmful_type: str


def labelled_files(table: Path, folder: Path) -> tuple[list[LabelledFile], Mapping[str, str]]:
    """The media of any annotation table, and the rows that cannot be used, each with its reason.

    A row's path is looked for below `folder`, and then its base name: tables carry the folders of another machine.

    Raises:
        ConfigError: As `read_annotations`.
    """
    names = MediaNames(pictures_below(str(folder)).pictures)
    files: dict[Path, LabelledFile] = {}
    left_out: dict[str, str] = {}
    for row in read_annotations(table).rows:
        try:
            path = _below(folder, row.path) or names.find(row.path)
        except ConfigError as error:
            left_out[row.path] = error.message
            continue
        if row.harmful is None:
            left_out[row.path] = f"its decision is '{row.said}', neither yes nor no"
        elif path is None:
            left_out[row.path] = f"no picture of that name lies below '{folder}'"
        elif path in files:
            left_out[row.path] = f"line {row.line} names '{path}' again"
        else:
            name = path.relative_to(folder).as_posix()
            files[path] = LabelledFile(name, path, row.harmful, row.harmful_type)
    return list(files.values()), left_out


def _below(folder: Path, name: str) -> Path | None:
    """The file that a path names, if it lies below the folder."""
    path = folder / os.path.normpath(name)  # one spelling, so that what is named twice is seen
    try:
        inside = path.resolve().is_relative_to(folder.resolve())
        return path if inside and not Path(name).is_absolute() and path.is_file() else None
    except (OSError, ValueError):  # a name too long, a null character
        return None
