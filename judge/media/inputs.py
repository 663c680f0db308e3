"""From the arguments of a command to references: path, folder, glob, URL, or `-` for a list on standard input.

Nothing is lost: an argument that leads to nothing becomes a failure in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from judge.errors import MediaError
from judge.media.listing import files_matching, is_folder, is_pattern, media_below
from judge.media.reference import FileMedia, MediaRef, UrlMedia

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FoundInput:
    """One piece of media to judge; `name` is how the caller gave it, or its path below a folder."""

    name: str
    ref: MediaRef


@dataclass(frozen=True, slots=True)
class FailedInput:
    """An argument, or a subfolder, that leads to no media."""

    name: str
    error: MediaError


Input = FoundInput | FailedInput


def expand_inputs(arguments: Sequence[str], stdin_lines: Iterable[str] = ()) -> list[Input]:
    """Expand arguments in order. Files are not opened and need not exist: that shows when they are fetched.

    Args:
        arguments: A folder stands for the pictures and videos below it, a glob for the files it matches.
        stdin_lines: Read where `-` stands: one path or URL per line, taken as it is; empty lines are skipped.
    """
    lines = iter(stdin_lines)
    return [found for argument in arguments for found in _expand(argument, lines)]


def _expand(argument: str, lines: Iterator[str]) -> Iterable[Input]:
    if argument == "-":
        listed = [_single(line.rstrip("\r\n")) for line in lines if line.strip()]
        return listed or [_failed("-", "standard input lists no path or URL")]
    if not argument:
        return [_failed("", "an empty argument names nothing")]
    if _SCHEME.match(argument):
        return [_single(argument)]
    if is_folder(argument):
        return _folder(argument)
    if is_pattern(argument):
        matching = [_single(str(path)) for path in files_matching(argument)]
        return matching or [_failed(argument, f"pattern {argument!r} matches no file")]
    return [_single(argument)]


def _single(text: str) -> FoundInput:
    return FoundInput(text, UrlMedia(url=text) if _SCHEME.match(text) else FileMedia(path=Path(text)))


def _folder(folder: str) -> list[Input]:
    listing = media_below(folder)
    found: list[Input] = [_single(str(path)) for path in listing.media]
    for path, reason in listing.unreadable:
        found.append(_failed(str(path), f"folder {str(path)!r} cannot be listed: {reason}"))
    if found:
        return found
    hint = f"{listing.n_other} other files lie there" if listing.n_other else ""
    return [_failed(folder, f"folder {folder!r} contains no pictures or videos", hint)]


def _failed(name: str, message: str, hint: str = "") -> FailedInput:
    return FailedInput(name, MediaError(message, hint=hint))
