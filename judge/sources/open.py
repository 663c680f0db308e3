"""From the name of a source to its samples: a folder, glob, file, table, archive, data set, URL or dataset card."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from judge.assets import card_names
from judge.errors import ConfigError, did_you_mean
from judge.media import UrlMedia
from judge.media.listing import files_matching, is_pattern
from judge.sources.card import Card
from judge.sources.card_file import YAML_SUFFIXES, find_card
from judge.sources.cards import open_card
from judge.sources.columns import Columns, find_columns
from judge.sources.folder import file_sample, is_media_name, walk_folder
from judge.sources.hub import hub_samples
from judge.sources.ids import unique
from judge.sources.paths import LocalPlace, guess_modality, url_scheme
from judge.sources.readers.any_table import is_table, read_table
from judge.sources.readers.table import Table, TableFile
from judge.sources.remote import remote_samples
from judge.sources.sample import NoMedia, Sample
from judge.sources.saved import is_saved, saved_tables
from judge.sources.shards import expand_shards, tar_samples
from judge.sources.stream import SampleStream
from judge.sources.tabular import table_samples

_GUESSED = Columns()


def open_source(
    source: str, *, root: Path | None = None, split: str | None = None, columns: Columns = _GUESSED
) -> SampleStream:
    """Open anything that holds media. Files are looked for, media is not read.

    Args:
        source: A folder, a glob, a media file, a table (CSV, TSV, JSONL, JSON, Parquet, xlsx), WebDataset archives
            (`shards-{0000..0009}.tar`), a data set that Hugging Face's `save_to_disk` wrote, `hf:OWNER/NAME`, an http
            URL of media, any URL of a folder, glob or table that fsspec reads, or a dataset card: its name, or a YAML
            file of your own. A file or folder comes before a built-in card of the same name.
        root: The folder that paths in a table may not leave, by default its own; of a card, where its files lie.
        split: Of a card or a data set.

    Raises:
        ConfigError: There is no such source, a package for it is missing, or its columns or card do not fit.
    """
    if source.startswith("hf:") and not source.startswith("hf://"):
        return _stream(source, hub_samples(source.removeprefix("hf:"), split, columns))
    if scheme := url_scheme(source):
        return _url(source, scheme, columns)
    path = Path(source)
    if path.is_dir():
        return _folder(path, root, split, columns)
    if path.is_file() if path.suffix in YAML_SUFFIXES else source in card_names() and not path.exists():
        return _card(find_card(source), root, split)
    return _files(source, root, columns)


def _stream(name: str, read: Callable[[], Iterator[Sample]], total: int | None = None) -> SampleStream:
    return SampleStream(name, lambda: unique(read()), total)


def _url(source: str, scheme: str, columns: Columns) -> SampleStream:
    if scheme not in ("http", "https"):
        return _stream(source, remote_samples(source, columns))
    if is_table(source):
        raise ConfigError(f"'{source}' is a table behind a URL", hint="download it first")
    sample = Sample(id=source, locator=UrlMedia(url=source), modality=guess_modality(source))
    return _stream(source, lambda: iter((sample,)), 1)


def _folder(path: Path, root: Path | None, split: str | None, columns: Columns) -> SampleStream:
    if is_saved(path):
        return _tables(str(path), saved_tables(path.absolute(), split), root or path, columns)
    if next(walk_folder(path, columns), None) is None:
        tables = sorted(each.name for each in path.iterdir() if is_table(each.name) or each.suffix == ".tar")
        hint = f"name a table or archive in it: {', '.join(tables[:5])}" if tables else ""
        raise ConfigError(f"folder '{path}' contains no pictures or videos", hint=hint)
    return _stream(str(path), lambda: walk_folder(path.absolute(), columns))


def _card(card: Card, root: Path | None, split: str | None) -> SampleStream:
    if root is None:
        raise ConfigError(f"'{card.name}' is a dataset card, and where its files lie is not known", hint="give --root")
    return open_card(card, root.absolute(), split)


def _files(source: str, root: Path | None, columns: Columns) -> SampleStream:
    """Files named one by one, by a glob or by a range."""
    found = files_matching(source) if is_pattern(source) else [Path(name) for name in expand_shards(source)]
    if not found:
        raise ConfigError(f"'{source}' matches no file")
    missing = [path for path in found if not path.exists()]
    if missing:
        hint = "" if len(found) > 1 else did_you_mean(source, card_names())
        raise ConfigError(f"source '{missing[0]}' does not exist", hint=hint)
    if all(is_table(path.name) for path in found):
        tables = [read_table(TableFile.local(path.absolute())) for path in found]
        return _tables(source, tables, root, columns)
    return _stream(source, lambda: _each(found, columns), _count(found))


def _count(found: Sequence[Path]) -> int | None:
    return None if any(path.suffix == ".tar" for path in found) else len(found)


def _each(found: Sequence[Path], columns: Columns) -> Iterator[Sample]:
    for path in found:
        if path.suffix == ".tar":
            yield from tar_samples(path.absolute(), columns)
        elif is_media_name(path.name):
            yield file_sample(str(path), path.absolute())
        else:
            problem = "neither a picture, a video, a table nor an uncompressed tar archive by its name"
            yield Sample(id=str(path), locator=NoMedia(), modality="image", problem=problem)


def _tables(name: str, tables: Sequence[Table], root: Path | None, columns: Columns) -> SampleStream:
    """The columns are settled at once, so that a wrong name is seen before anything is read."""
    for table in tables:
        find_columns(columns, table.columns, table.bytes_in, table.where)
    totals = [table.total for table in tables]
    total = None if None in totals else sum(each for each in totals if each is not None)

    def read() -> Iterator[Sample]:
        for table in tables:
            yield from table_samples(table, columns, LocalPlace((root or Path(table.where).parent).absolute()))

    return _stream(name, read, total)
