"""What fsspec reads, in its own memory and on disk; and the hub, which is not at hand."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from judge.errors import ConfigError, MediaError
from judge.media import Permissions
from judge.sources.columns import Columns
from judge.sources.hub import of_split, parquet_files, parquet_samples
from judge.sources.open import open_source
from judge.sources.read import read_bytes
from judge.sources.sample import NoMedia, RemoteFile, TableCell
from tests.sources.making import FILES, png, put


@pytest.fixture
def store() -> Iterator[fsspec.AbstractFileSystem]:
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    yield fs
    fs.store.clear()


def test_a_remote_folder(store: fsspec.AbstractFileSystem) -> None:
    store.pipe({"/set/safe/b.png": png(1), "/set/a.mp4": b"clip", "/set/notes.txt": b"", "/set/.x.png": b""})
    samples = list(open_source("memory://set", columns=Columns(folder_is_label=True)))
    assert [(each.id, each.modality, each.harmful) for each in samples] == [
        ("a.mp4", "video", None), ("safe/b.png", "image", False),
    ]  # fmt: skip
    assert read_bytes(samples[1].locator, FILES).data == png(1)


def test_a_remote_glob_and_file(store: fsspec.AbstractFileSystem) -> None:
    store.pipe({"/set/a.png": png(1), "/set/b.png": png(2), "/set/c.bin": b"x"})
    assert [each.problem[:9] for each in open_source("memory://set/*")] == ["", "", "neither a"]
    assert [read_bytes(each.locator, FILES).data for each in open_source("memory://set/b.png")] == [png(2)]


def test_paths_of_a_remote_table_stay_in_its_folder(store: fsspec.AbstractFileSystem) -> None:
    rows = ["path", "in/a.png", "memory://set/in/a.png", "../secret.png", "/secret.png", "file:///etc/passwd",
            "memory://secret.png", "simplecache::memory://secret.png", "memory://set/../secret.png", '""']  # fmt: skip
    store.pipe({"/set/rows.csv": "\n".join(rows).encode(), "/set/in/a.png": png(3), "/secret.png": png(4)})
    samples = list(open_source("memory://set/rows.csv"))
    assert [read_bytes(each.locator, FILES).data for each in samples[:2]] == [png(3)] * 2
    assert [each.locator for each in samples[2:]] == [NoMedia()] * 7
    assert all(each.problem for each in samples[2:])


def test_bytes_in_a_remote_parquet(store: fsspec.AbstractFileSystem) -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"image": [{"bytes": png(row), "path": ""} for row in range(3)]}), out)
    store.pipe("/set/rows.parquet", out.getvalue())
    samples = list(open_source("memory://set/rows.parquet"))
    assert samples[2].locator == TableCell(path="memory:///set/rows.parquet", row=2, column="image.bytes")
    assert [read_bytes(each.locator, FILES).data for each in samples] == [png(0), png(1), png(2)]


def test_a_file_url_is_read_by_fsspec_too(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    samples = list(open_source(f"file://{tmp_path}"))
    assert [each.id for each in samples] == ["a.png"]
    assert read_bytes(samples[0].locator, FILES).data == png(0)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://nowhere", "does not exist"),
        ("memory://nowhere/*.png", "matches no file"),
        ("nosuch://x", "cannot be opened"),
        ("memory://set/c.bin", "neither a table nor media"),
        ("memory://set/no-columns.csv", "its columns: x, y"),
    ],
)
def test_remote_sources_that_lead_nowhere(store: fsspec.AbstractFileSystem, url: str, message: str) -> None:
    store.pipe({"/set/c.bin": b"x", "/set/no-columns.csv": b"x,y\n1,2\n"})
    with pytest.raises(ConfigError, match=message):
        open_source(url)


def test_remote_media_has_limits(store: fsspec.AbstractFileSystem) -> None:
    store.pipe({"/a.png": b"x" * 100, "/empty.png": b""})
    with pytest.raises(MediaError, match="larger than the limit of 99 bytes"):
        read_bytes(RemoteFile(url="memory://a.png"), Permissions(files=True, max_bytes=99))
    with pytest.raises(MediaError, match="is empty"):
        read_bytes(RemoteFile(url="memory://empty.png"), FILES)
    with pytest.raises(MediaError, match="cannot be read"):
        read_bytes(RemoteFile(url="memory://gone.png"), FILES)
    with pytest.raises(MediaError, match="files are off"):
        read_bytes(RemoteFile(url="memory://a.png"), Permissions(urls=True))


def test_http_behind_fsspec_is_still_checked() -> None:
    with pytest.raises(MediaError, match="URLs are off here"):
        read_bytes(RemoteFile(url="http://169.254.169.254/latest"), FILES)


def test_files_of_a_split_by_the_hubs_names() -> None:
    base = "hf://datasets/o/n"
    files = [f"{base}/data/{name}" for name in ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet")]
    assert of_split(files, None, len(base)) == files
    assert of_split(files, "test", len(base)) == files[1:]
    converted = [f"{base}@refs/convert/parquet/default/{split}/0000.parquet" for split in ("train", "partial-test")]
    assert of_split(converted, "train", len(base)) == converted[:1]
    with pytest.raises(ConfigError, match="converted only a part of split 'test'"):
        of_split(converted, "test", len(base))
    with pytest.raises(ConfigError, match="no file of a split 'tain'"):
        of_split(files, "tain", len(base))


def test_a_data_set_laid_out_as_on_the_hub(store: fsspec.AbstractFileSystem) -> None:
    for split, row in (("train", 1), ("test", 2)):
        out = io.BytesIO()
        pq.write_table(pa.table({"image": [{"bytes": png(row), "path": "x.png"}], "text": [split]}), out)
        store.pipe(f"/o/n@refs/convert/parquet/default/{split}/0000.parquet", out.getvalue())
    files = parquet_files("memory://o/n", "test")
    samples = list(parquet_samples(files, Columns()))
    assert [(each.text, read_bytes(each.locator, FILES).data) for each in samples] == [("test", png(2))]


def test_the_hub_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ConfigError, match=r"data set 'o/n' of the hub: .*\(the hub must be reachable"):
        open_source("hf:o/n")
