"""Folders, globs and tables behind URLs that fsspec reads: `s3://`, `gs://`, `hf://`, `file://`, `memory://`..."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from glob import has_magic
from typing import TYPE_CHECKING, BinaryIO, TypeVar, cast

from judge.errors import ConfigError, JudgeError
from judge.sources.columns import Columns, find_columns
from judge.sources.folder import is_media_name, labelled_file
from judge.sources.needs import need
from judge.sources.paths import RemotePlace
from judge.sources.readers.any_table import is_table, read_table
from judge.sources.readers.table import Table, TableFile
from judge.sources.sample import NoMedia, RemoteFile, Sample
from judge.sources.tabular import table_samples

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_Answer = TypeVar("_Answer")


def remote_samples(url: str, columns: Columns) -> Callable[[], Iterator[Sample]]:
    """What begins an iteration over the samples; whether there is anything is settled now.

    Raises:
        ConfigError: It cannot be reached or is not there, or a table is wrong.
    """
    fs, path = file_system(url)
    if has_magic(path) and not _ask(fs.exists, path, url):
        found = sorted(_ask(fs.glob, path, url))
        if not found:
            raise ConfigError(f"'{url}' matches no file")
        return lambda: _files(fs, found, columns)
    if _ask(fs.isdir, path, url):
        return lambda: _folder(fs, url, path, columns)
    if not _ask(fs.exists, path, url):
        raise ConfigError(f"'{url}' does not exist")
    if is_table(path):
        table = remote_table(url)
        find_columns(columns, table.columns, table.bytes_in, url)
    elif not is_media_name(path):
        raise ConfigError(f"'{url}' is neither a table nor media by its name")
    return lambda: _files(fs, [path], columns)


def file_system(url: str) -> tuple[AbstractFileSystem, str]:
    """The file system of a URL, and the path in it.

    Raises:
        ConfigError: fsspec, or its part for this kind of URL, is missing.
    """
    core = need("fsspec.core", "a remote source")
    try:
        fs, path = core.url_to_fs(url)
    except (ImportError, ValueError, OSError) as error:
        raise ConfigError(f"'{url}' cannot be opened: {error}", hint="install fsspec's part for it") from error
    return fs, path


def remote_table(url: str) -> Table:
    """Open a table behind a URL.

    Raises:
        ConfigError: It cannot be reached, or is wrong.
    """
    return read_table(TableFile(url, lambda: open_url(url)))


def open_url(url: str) -> BinaryIO:
    """Open a file behind a URL.

    Raises:
        ConfigError: It cannot be opened.
    """
    fs, path = file_system(url)
    try:
        return cast(BinaryIO, fs.open(path, "rb"))
    except JudgeError:
        raise
    except Exception as error:  # every file system has errors of its own
        raise ConfigError(f"'{url}' cannot be opened: {error or type(error).__name__}") from error


def list_files(url: str, suffix: str) -> list[str]:
    """URLs of the files below a folder whose names end so, sorted; none if there is no such folder.

    Raises:
        ConfigError: It cannot be reached.
    """
    fs, path = file_system(url)
    try:
        found = fs.find(path)
    except FileNotFoundError:
        return []
    except Exception as error:  # every file system has errors of its own
        raise ConfigError(f"'{url}' cannot be reached: {error or type(error).__name__}") from error
    return sorted(fs.unstrip_protocol(each) for each in found if each.endswith(suffix))


def _ask(question: Callable[[str], _Answer], path: str, url: str) -> _Answer:
    try:
        return question(path)
    except Exception as error:  # every file system has errors of its own
        raise ConfigError(f"'{url}' cannot be reached: {error or type(error).__name__}") from error


def _folder(fs: AbstractFileSystem, url: str, root: str, columns: Columns) -> Iterator[Sample]:
    for folder, _, names in fs.walk(root, on_error="raise"):
        for name in sorted(names):
            if is_media_name(name) and not name.startswith("."):
                path = f"{folder.rstrip('/')}/{name}"
                id = path[len(root.rstrip("/")) + 1 :]
                label = id.split("/")[0] if columns.folder_is_label and "/" in id else ""
                yield labelled_file(id, RemoteFile(url=fs.unstrip_protocol(path)), name, label)


def _files(fs: AbstractFileSystem, paths: list[str], columns: Columns) -> Iterator[Sample]:
    for path in paths:
        full = fs.unstrip_protocol(path)
        if is_table(path):
            yield from table_samples(remote_table(full), columns, RemotePlace(full.rsplit("/", 1)[0]))
        elif is_media_name(path):
            yield labelled_file(full, RemoteFile(url=full), full, "")
        else:
            yield Sample(id=full, locator=NoMedia(), modality="image", problem="neither a table nor media by its name")
