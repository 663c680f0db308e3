"""Which columns of a table name the media, the row, its label and its text; guessed where they are not given."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from judge.errors import ConfigError, did_you_mean

_MEDIA = (
    "media", "path", "image_path", "imagepath", "video_path", "videopath", "media_path", "file_path", "filepath",
    "file_name", "filename", "file", "url", "image_url", "video_url", "media_url", "uri", "image", "img", "video",
)  # fmt: skip
_IDS = ("id", "sample_id", "image_id", "video_id", "__key__")
_LABELS = ("harmful", "decision", "safety_label", "label")
_TEXTS = ("text", "caption")


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of columns; None = guessed. `a.b` is the field `b` of the column `a`.

    Attributes:
        media: A path, a URL, or encoded bytes.
        id: Unique for each row; without one, rows are named by their media or number.
        label: Its values are kinds of harm; words such as unsafe, harmful, safe make a label.
        text: What was posted with the media.
        folder_is_label: Of a folder: the first folder below it is the label, as in `cats/1.jpg`.
    """

    media: str | None = None
    id: str | None = None
    label: str | None = None
    text: str | None = None
    folder_is_label: bool = False


@dataclass(frozen=True, slots=True)
class FoundColumns:
    """The columns of one table; all but the media may be missing. `numbers`: 1 is harmful and 0 is not."""

    media: str
    id: str | None
    label: str | None
    text: str | None
    numbers: bool


def find_columns(asked: Columns, columns: Sequence[str], bytes_in: Sequence[str], source: str) -> FoundColumns:
    """Settle the columns of a table; those that hold bytes come first.

    Raises:
        ConfigError: A named column is missing, or nothing looks like media; the columns are listed.
    """
    for name in (asked.media, asked.id, asked.label, asked.text):
        if name is not None and name.split(".")[0] not in {*columns, *(each.split(".")[0] for each in bytes_in)}:
            raise _missing(f"'{source}' has no column '{name}'", columns, did_you_mean(name, columns))
    media = asked.media or (bytes_in[0] if bytes_in else _first(_MEDIA, columns))
    if media is None:
        raise _missing(f"'{source}' has no column that looks like media", columns, "name the column of the media")
    label = asked.label or _first(_LABELS, columns)
    numbers = label is not None and (asked.label is not None or label.lower() == "harmful")
    return FoundColumns(
        _bytes_of(media, bytes_in), asked.id or _first(_IDS, columns), label, asked.text or _first(_TEXTS, columns),
        numbers,
    )  # fmt: skip


def _bytes_of(media: str, bytes_in: Sequence[str]) -> str:
    """`image` stands for `image.bytes` where that is how the column is made."""
    return f"{media}.bytes" if f"{media}.bytes" in bytes_in else media


def _first(known: Iterable[str], columns: Sequence[str]) -> str | None:
    by_lower = {name.lower(): name for name in reversed(columns)}
    return next((by_lower[name] for name in known if name in by_lower), None)


def _missing(message: str, columns: Sequence[str], hint: str) -> ConfigError:
    listed = ", ".join(columns[:20]) + (" ..." if len(columns) > 20 else "")
    return ConfigError(f"{message}; its columns: {listed or 'none'}", hint=hint)
