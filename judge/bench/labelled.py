"""Labelled pictures on disk, in VHD11K's files: `harmful_image_<split>_ann.csv` beside the folders of pictures.

Only the columns `imagePath`, `decision` and `harmfulType` are read, and `scenes_<split>.jsonl` where there is one.
Source of the layout: VHD11K (arXiv 2409.19734).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from pydantic import JsonValue

from judge.errors import ConfigError, JudgeError
from judge.media import FileMedia, Permissions, load_media
from judge.types import Media

LABELS: Mapping[str, bool] = {"yes": True, "no": False}
"""What VHD11K's column `decision` says, in lower case, and whether that means harmful."""


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
    for row in islice(read_table(folder, split), count):
        name, id = row["imagePath"], Path(row["imagePath"]).stem
        label = LABELS.get(row["decision"].strip().lower())
        if label is None:
            left_out[name] = f"its decision is '{row['decision']}', neither yes nor no"
            continue
        try:
            media = load_media(FileMedia(path=folder / name), Permissions(files=True))
        except JudgeError as error:
            left_out[name] = str(error)
            continue
        items.append(Labelled(id, media, label, str(scenes.get(id, {}).get("group", id))))
    return LabelledSet(split, tuple(items), left_out)


def read_table(folder: Path, split: str) -> Iterator[Mapping[str, str]]:
    """`imagePath`, `decision` and `harmfulType` of each row; the last is empty where the table has no such column.

    Raises:
        ConfigError: There is no such split, or its table lacks one of the first two columns.
    """
    path = folder / f"harmful_image_{split}_ann.csv"
    try:
        text = _decoded(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"split table '{path}' cannot be read: {error.strerror}",
            hint=f"the folder has {', '.join(split_names(folder)) or 'no splits'}",
        ) from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = {"imagePath", "decision"} - set(reader.fieldnames or ())
    if missing:
        raise ConfigError(f"split table '{path}' has no column '{sorted(missing)[0]}'")
    for row in reader:
        yield {name: row.get(name) or "" for name in ("imagePath", "decision", "harmfulType")}


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


def _decoded(data: bytes) -> str:
    """The published tables are not clean UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("iso-8859-1")
