"""Small files for tests of sources."""

from __future__ import annotations

import csv
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image

from judge.media import FileMedia, Permissions
from judge.sources.open import open_source
from judge.sources.sample import Sample

FILES = Permissions(files=True)


def png(shade: int = 0) -> bytes:
    """A picture; different shades make different bytes."""
    out = io.BytesIO()
    Image.new("L", (4, 4), shade).save(out, "PNG")
    return out.getvalue()


def put(root: Path, *names: str) -> None:
    """Pictures (or files that are called videos) of these names below the root."""
    for shade, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(shade))


def write_jsonl(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_tar(path: Path, members: Sequence[tuple[str | tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w") as archive:
        for member, data in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            info.size = info.size or len(data)
            archive.addfile(info, io.BytesIO(data) if info.isfile() else None)
    return path


def write_table(path: Path, *rows: Sequence[object]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def samples(card: str, root: Path, split: str | None = None) -> list[Sample]:
    return list(open_source(card, root=root, split=split))


def below(sample: Sample, root: Path) -> str:
    """Where its file lies below the root; empty for no media."""
    return sample.locator.path.relative_to(root).as_posix() if isinstance(sample.locator, FileMedia) else ""
