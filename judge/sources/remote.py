"""Folders, globs and tables behind URLs that fsspec reads: `s3://`, `gs://`, `hf://`, `file://`, `memory://`..."""

from __future__ import annotations

from collections.abc import Iterator
from glob import has_magic
from typing import TYPE_CHECKING, BinaryIO, cast

from judge.errors import ConfigError, JudgeError
from judge.sources.columns import Columns
from judge.sources.folder import is_media_name, labelled_file
from judge.sources.needs import need
from judge.sources.paths import RemotePlace, url_scheme
from judge.sources.readers.any_table import is_table, read_table
from judge.sources.readers.table import Table, TableFile
from judge.sources.sample import NoMedia, RemoteFile, Sample
from judge.sources.tabular import table_samples

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


def remote_samples(url: str, columns: Columns) -> Iterator[Sample]:
    """Raises:
    ConfigError: It cannot be reached or is not there, or a table is wrong.
    """
    fs, path = file_system(url)
    if has_magic(path) and not _ask(fs.exists, path, url):
        found = sorted(_ask(fs.glob, path, url))
        if not found:
            raise ConfigError(f"'{url}' matches no file")
        yield from _files(fs, url, found, columns)
    elif _ask(fs.isdir, path, url):
        yield from _folder(fs, url, path, columns)
    elif _ask(fs.exists, path, url):
        yield from _files(fs, url, [path], columns)
    else:
        raise ConfigError(f"'{url}' does not exist")


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
    """Raises:
    ConfigError: It cannot be reached, or is wrong.
    """
    return read_table(TableFile(url, lambda: open_url(url)))


def open_url(url: str) -> BinaryIO:
    """Raises:
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
    return sorted(_full(fs, url, each) for each in found if each.endswith(suffix))


def _ask(question: object, path: str, url: str) -> list[str]:
    """The answer of a file system; its truth is what counts for questions of yes and no."""
    try:
        return question(path)  # type: ignore[operator, no-any-return]
    except Exception as error:  # every file system has errors of its own
        raise ConfigError(f"'{url}' cannot be reached: {error or type(error).__name__}") from error


def _full(fs: AbstractFileSystem, url: str, path: str) -> str:
    return f"{url_scheme(url)}://{fs._strip_protocol(path)}"


def _folder(fs: AbstractFileSystem, url: str, root: str, columns: Columns) -> Iterator[Sample]:
    for folder, _, names in fs.walk(root, on_error="raise"):
        for name in sorted(names):
            if is_media_name(name) and not name.startswith("."):
                path = f"{folder.rstrip('/')}/{name}"
                id = path[len(root.rstrip("/")) + 1 :]
                label = id.split("/")[0] if columns.folder_is_label and "/" in id else ""
                yield labelled_file(id, RemoteFile(url=_full(fs, url, path)), name, label)


def _files(fs: AbstractFileSystem, url: str, paths: list[str], columns: Columns) -> Iterator[Sample]:
    for path in paths:
        full = _full(fs, url, path)
        if is_table(path):
            yield from table_samples(remote_table(full), columns, RemotePlace(full.rsplit("/", 1)[0]))
        elif is_media_name(path):
            yield labelled_file(full, RemoteFile(url=full), full, "")
        elif len(paths) == 1:
            raise ConfigError(f"'{url}' is neither a table nor media by its name")
        else:
            yield Sample(id=full, locator=NoMedia(), modality="image", problem="neither a table nor media by its name")
