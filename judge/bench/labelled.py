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

from pydantic import JsonValue

from judge.bench.vhd11k import Annotation, MediaNames, read_annotations
from judge.errors import ConfigError, JudgeError
from judge.media import FileMedia, Permissions, load_media
from judge.media.listing import media_below
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
    scenes = read_scenes(folder, split)
    items: list[Labelled] = []
    left_out: dict[str, str] = {}
    for row in read_split(folder, split)[:count]:
        id = Path(row.path).stem
        if row.harmful is None:
            left_out[row.path] = f"its decision is '{row.said}', neither yes nor no"
            continue
        try:
            media = load_media(FileMedia(path=folder / row.path), Permissions(files=True))
        except JudgeError as error:
            left_out[row.path] = str(error)
            continue
        if media.video is not None:
            media.video.close()
            left_out[row.path] = "it is a video, and a split is of pictures"
            continue
        items.append(Labelled(id, media, row.harmful, str(scenes.get(id, {}).get("group", id))))
    return LabelledSet(split, tuple(items), left_out)


def read_split(folder: Path, split: str) -> tuple[Annotation, ...]:
    """The rows of a split's table.

    Raises:
        ConfigError: There is no such split, or its table lacks a column.
    """
    path = folder / f"harmful_image_{split}_ann.csv"
    if not path.is_file():
        hint = f"the folder has {', '.join(split_names(folder)) or 'no splits'}"
        raise ConfigError(f"split table '{path}' cannot be read: there is no such file", hint=hint)
    return read_annotations(path).rows


def read_scenes(folder: Path, split: str) -> Mapping[str, Mapping[str, JsonValue]]:
    """What `scenes_<split>.jsonl` says of each picture, by its id; nothing where there is no such file.

    Raises:
        ConfigError: It cannot be read, or a line is no JSON object with an `id`.
    """
    path = folder / f"scenes_{split}.jsonl"
    if not path.is_file():
        return {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"'{path}' cannot be read: {error}") from error
    found: dict[str, Mapping[str, JsonValue]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            found[str(row["id"])] = row
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"'{path}', line {number}: no JSON object with an id") from error
    return found


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
    names = MediaNames(media_below(str(folder)).media)
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
            left_out[row.path] = f"no media of that name lies below '{folder}'"
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
