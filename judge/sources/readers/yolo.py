"""Boxes as YOLO writes them: a line `class cx cy width height` for each, in a text file for each picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from judge.errors import MediaError, quoted

_LARGEST_BYTES = 2**20
_FIELDS = 5


def read_classes(path: Path, names: Sequence[str]) -> list[str]:
    """The classes seen, each once, sorted by number; none for a picture in which nothing was marked.

    Raises:
        MediaError: The file cannot be read, or a line is no box of a known class.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise MediaError(f"boxes '{path.name}' cannot be read: {getattr(error, 'strerror', error)}") from error
    if len(data) > _LARGEST_BYTES:
        raise MediaError(f"boxes '{path.name}' are larger than {_LARGEST_BYTES:,} bytes")
    lines = [line.split() for line in data.decode("utf-8", "replace").splitlines() if line.strip()]
    return [names[number] for number in sorted({_class(line, names, path.name) for line in lines})]


def _class(fields: Sequence[str], names: Sequence[str], source: str) -> int:
    try:
        number, sizes = int(fields[0]), [float(each) for each in fields[1:]]
    except (ValueError, IndexError):
        number, sizes = -1, []
    if not 0 <= number < len(names) or len(sizes) < _FIELDS - 1 or not all(0 <= each <= 1 for each in sizes[:4]):
        raise MediaError(f"boxes '{source}': {quoted(' '.join(fields))} is no box of a known class")
    return number
