"""WebDataset archives: consecutive members of an uncompressed tar that share a key are one sample.

Nothing is unpacked: a sample keeps where the bytes of its media begin.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from pydantic import JsonValue

from judge.errors import ConfigError, quoted
from judge.sources.columns import Columns
from judge.sources.folder import is_media_name
from judge.sources.labels import read_label
from judge.sources.paths import guess_modality
from judge.sources.readers.table import as_text, cell
from judge.sources.sample import Locator, NoMedia, Sample, TarMember

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST_SHARDS = 1_000_000
_LARGEST_SIDECAR_BYTES = 2**20
_SIDECARS = ("json", "txt", "cls")


def expand_shards(pattern: str) -> list[str]:
    """`a-{00..12}.tar` as thirteen names; a name without braces is itself.

    Raises:
        ConfigError: A range is of more than a million.
    """
    found = _RANGE.search(pattern)
    if found is None:
        return [pattern]
    first, last = found.group(1), found.group(2)
    if not 0 <= int(last) - int(first) < _MOST_SHARDS:
        raise ConfigError(f"{quoted(pattern)}: the range goes backwards or is too long")
    before, after = pattern[: found.start()], pattern[found.end() :]
    names = [f"{before}{number:0{len(first)}d}" for number in range(int(first), int(last) + 1)]
    return [name + rest for name in names for rest in expand_shards(after)]


@dataclass(slots=True)
class _Group:
    """What is known of the sample whose members are being read."""

    key: str
    media: list[tarfile.TarInfo] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)
    problem: str = ""


def tar_samples(path: Path, columns: Columns) -> Iterator[Sample]:
    """The samples of one archive; what breaks off is a last sample with the problem."""
    key = ""
    try:
        with tarfile.open(path, "r:") as archive:
            for group in _groups(archive, path.stat().st_size):
                key = group.key
                yield from _samples(path, group, columns)
    except (tarfile.TarError, OSError, ValueError) as error:
        after = f" after {quoted(key)}" if key else ""
        yield _failed(
            f"{path.name}!end", f"archive '{path.name}' cannot be read{after}: {error} (an uncompressed tar is needed)"
        )


def _groups(archive: tarfile.TarFile, n_bytes: int) -> Iterator[_Group]:
    """The last group before an archive breaks off is still given."""
    group: _Group | None = None
    broken: Exception | None = None
    members = _members(archive)
    while True:
        try:
            member = next(members, None)
        except (tarfile.TarError, OSError, ValueError) as error:
            member, broken = None, error
        if member is None:
            break
        key, suffix = _split(member.name)
        if group is None or group.key != key:
            if group is not None:
                yield group
            group = _Group(key)
        _add(group, archive, member, suffix, n_bytes)
    if group is not None:
        yield group
    if broken is not None:
        raise broken


def _members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    last = -1
    while (member := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined]  # else every header of the archive is kept
        if member.size < 0 or member.offset <= last:
            raise tarfile.ReadError("its headers lead backwards")
        last = member.offset
        if not member.isdir():
            yield member
    _check_end(archive)


def _check_end(archive: tarfile.TarFile) -> None:
    """A damaged header ends an archive quietly for `tarfile`: what is there must be the end's zeros, or nothing."""
    file = archive.fileobj
    if file is not None:
        file.seek(archive.offset)
        if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError("a header is damaged")


def _split(name: str) -> tuple[str, str]:
    """`a/b.seg.png` as key `a/b` and suffix `seg.png`."""
    folder, slash, base = name.rpartition("/")
    stem, _, suffix = base.partition(".")
    return f"{folder}{slash}{stem}", suffix.lower()


def _add(group: _Group, archive: tarfile.TarFile, member: tarfile.TarInfo, suffix: str, n_bytes: int) -> None:
    parts = PurePosixPath(member.name).parts
    if member.name.startswith("/") or ".." in parts:
        group.problem = f"{quoted(member.name)} leaves the archive"
    elif not member.isfile() or member.issparse():
        group.problem = f"{quoted(member.name)} is a link or a device, not a file"
    elif member.offset_data + member.size > n_bytes:
        group.problem = f"{quoted(member.name)} is cut off: it declares {member.size:,} bytes"
    elif is_media_name(f".{suffix}") or is_media_name(member.name):
        group.media.append(member)
    elif suffix in _SIDECARS:
        if member.size > _LARGEST_SIDECAR_BYTES:
            group.problem = f"{quoted(member.name)} is too large: {member.size:,} bytes"
            return
        opened = archive.extractfile(member)
        data = opened.read() if opened else b""
        group.said[suffix] = data.decode("utf-8", "replace")


def _samples(path: Path, group: _Group, columns: Columns) -> Iterator[Sample]:
    id = f"{path.name}/{group.key}"
    fields, problem = _fields(group)
    problem = group.problem or problem or ("" if group.media else "no picture or video among its files")
    label = as_text(cell(fields, columns.label or "label")) or group.said.get("cls", "").strip()
    harmful = read_label(label, numbers=columns.label is not None)
    text = as_text(cell(fields, columns.text or "text")) or group.said.get("txt", "")
    members: Sequence[tarfile.TarInfo | None] = group.media or [None]
    for member in members:
        locator: Locator = NoMedia()
        if member is not None and not group.problem:
            locator = TarMember(path=path, offset=member.offset_data, n_bytes=member.size, name=member.name)
        own_id = as_text(cell(fields, columns.id)) if columns.id else ""
        suffix = "" if len(members) == 1 or member is None else "." + _split(member.name)[1]
        yield Sample(
            id=(own_id or id) + suffix, locator=locator, modality=guess_modality(member.name if member else ""),
            harmful=harmful, labels=(label,) if label and harmful is None else (), text=text, problem=problem,
        )  # fmt: skip


def _fields(group: _Group) -> tuple[dict[str, JsonValue], str]:
    if "json" not in group.said:
        return {}, ""
    try:
        content = json.loads(group.said["json"])
    except (ValueError, RecursionError) as error:
        return {}, f"its JSON cannot be read: {error}"
    return (content, "") if isinstance(content, dict) else ({}, "its JSON is no object")


def _failed(id: str, problem: str) -> Sample:
    return Sample(id=id, locator=NoMedia(), modality="image", problem=problem)
