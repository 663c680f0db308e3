"""Labelled pictures on disk, in VHD11K's files: `harmful_image_<split>_ann.csv` beside the folders of pictures.

Only the columns `imagePath` and `decision` are read, and the groups of `scenes_<split>.jsonl` where there is one.
Source of the layout: VHD11K (arXiv 2409.19734).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from judge.errors import ConfigError, JudgeError
from judge.media import FileMedia, Permissions, load_media
from judge.types import Media

_LABELS: Mapping[str, bool] = {"yes": True, "no": False}


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
    groups = _groups(folder / f"scenes_{split}.jsonl")
    items: list[Labelled] = []
    left_out: dict[str, str] = {}
    for number, row in enumerate(_rows(path)):
        if count is not None and number >= count:
            break
        name = row["imagePath"]
        label = _LABELS.get(row["decision"].strip().lower())
        id = Path(name).stem
        if label is None:
            left_out[name] = f"its decision is '{row['decision']}', neither yes nor no"
            continue
        try:
            media = load_media(FileMedia(path=folder / name), Permissions(files=True))
        except JudgeError as error:
            left_out[name] = str(error)
            continue
        items.append(Labelled(id, media, label, groups.get(id, id)))
    return LabelledSet(split, tuple(items), left_out)


def _rows(path: Path) -> Iterator[Mapping[str, str]]:
    try:
        text = _decoded(path.read_bytes())
    except OSError as error:
        raise ConfigError(
            f"split table '{path}' cannot be read: {error.strerror}",
            hint=f"the folder has {', '.join(split_names(path.parent)) or 'no splits'}",
        ) from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = {"imagePath", "decision"} - set(reader.fieldnames or ())
    if missing:
        raise ConfigError(f"split table '{path}' has no column '{sorted(missing)[0]}'")
    for row in reader:
        yield {name: row.get(name) or "" for name in ("imagePath", "decision")}


def _decoded(data: bytes) -> str:
    """The published tables are not clean UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("iso-8859-1")


def _groups(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {str(row["id"]): str(row["group"]) for row in rows}
