"""Data sets of the Hugging Face hub, by name: their Parquet files, read over the network as rows are asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from judge.errors import ConfigError, did_you_mean
from judge.sources.columns import Columns
from judge.sources.paths import RemotePlace
from judge.sources.remote import list_files, remote_table
from judge.sources.sample import Sample
from judge.sources.tabular import table_samples

_CONVERTED = "refs/convert/parquet"
"""The branch on which the hub keeps its own conversion: `<config>/<split>/0000.parquet`."""


def hub_samples(name: str, split: str | None, columns: Columns) -> Callable[[], Iterator[Sample]]:
    """What begins an iteration over the rows of a data set, or of one split; its files are settled now.

    Raises:
        ConfigError: The hub cannot be reached, has no such data set, may not be read without a token, holds no Parquet
            files of it, or there is no such split.
    """
    try:
        files = parquet_files(f"hf://datasets/{name}", split)
    except ConfigError as error:
        hint = "the hub must be reachable, and gated sets need a token: `hf auth login`; or use a copy on disk"
        raise ConfigError(f"data set '{name}' of the hub: {error.message}", hint=error.hint or hint) from error
    return lambda: parquet_samples(files, columns)


def parquet_files(base: str, split: str | None) -> list[str]:
    """As for `hub_samples`, at any URL that is laid out as the hub's."""
    found = list_files(base, ".parquet") or list_files(f"{base}@{_CONVERTED}", ".parquet")
    if not found:
        raise ConfigError(f"'{base}' holds no Parquet files, or is not there", hint="download it, and name the folder")
    return of_split(found, split, len(base))


def parquet_samples(files: Sequence[str], columns: Columns) -> Iterator[Sample]:
    for url in files:
        yield from table_samples(remote_table(url), columns, RemotePlace(url.rsplit("/", 1)[0]))


def of_split(files: Sequence[str], split: str | None, base_chars: int) -> list[str]:
    """The files whose name below the base says the split: `data/train-00000-of-00002.parquet`, `all/train/0.parquet`.

    Raises:
        ConfigError: None of them does, or they hold only a part of it.
    """
    if split is None:
        return list(files)
    word = re.compile(rf"(?:^|[/@_.-])({re.escape(split)})(?=[/_.-])")
    found = [url for url in files if word.search(url[base_chars:])]
    if not found:
        known = sorted({url[base_chars:].rsplit("/", 1)[-1] for url in files})
        raise ConfigError(f"no file of a split '{split}'", hint=did_you_mean(split, known))
    if any(f"partial-{split}/" in url for url in found):
        raise ConfigError(f"the hub converted only a part of split '{split}'", hint="download it, and name the folder")
    return found
