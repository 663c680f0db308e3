"""Folders, globs, tables and data sets on disk as streams of samples."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import datasets
from judge.errors import ConfigError, MediaError
from judge.media import FileMedia, Permissions, UrlMedia
from judge.sources.columns import Columns
from judge.sources.open import open_source
from judge.sources.read import read_bytes
from judge.sources.sample import NoMedia, RemoteFile, Sample, TableCell
from tests.sources.making import FILES, below, png, put, write_jsonl


def write_csv(path: Path, *rows: list[str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def test_a_folder_is_its_pictures_and_videos_in_order(tmp_path: Path) -> None:
    put(tmp_path, "b/2.PNG", "b/10.jpg", "a.png", "b/c/clip.mp4", ".hidden.png", ".cache/x.png", "notes.txt")
    stream = open_source(str(tmp_path))
    assert [(each.id, each.modality) for each in stream] == [
        ("a.png", "image"), ("b/10.jpg", "image"), ("b/2.PNG", "image"), ("b/c/clip.mp4", "video"),
    ]  # fmt: skip
    assert [below(each, tmp_path) for each in stream] == ["a.png", "b/10.jpg", "b/2.PNG", "b/c/clip.mp4"]


def test_a_link_to_itself_is_one_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    (tmp_path / "a.png").write_bytes(b"x")
    assert [(each.id, each.problem) for each in open_source(str(tmp_path))] == [("a.png", ""), ("loop.png", "")]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    put(tmp_path, "in/a.png")
    (tmp_path / "in" / "round").symlink_to(tmp_path / "in")
    assert [each.id for each in open_source(str(tmp_path / "in"))] == ["a.png"]


def test_folders_may_be_very_deep(tmp_path: Path) -> None:
    put(tmp_path, "z.png")
    folders = list(itertools.accumulate(["d"] * 1200, lambda above, name: above / name, initial=tmp_path))
    for folder in folders[1:]:  # deeper than Python calls itself
        folder.mkdir()
    put(folders[-1], "a.png")
    found = [each.id.count("/") for each in open_source(str(tmp_path))]
    (folders[-1] / "a.png").unlink()
    for folder in reversed(folders[1:]):  # for pytest, which removes folders by calling itself
        folder.rmdir()
    assert found == [1200, 0]


def test_the_first_folder_may_be_the_label(tmp_path: Path) -> None:
    put(tmp_path, "cats/1.png", "cats/more/2.png", "unsafe/3.png", "Safe/4.png", "5.png")
    samples = open_source(str(tmp_path), columns=Columns(folder_is_label=True))
    assert [(each.id, each.labels, each.harmful) for each in samples] == [
        ("5.png", (), None), ("Safe/4.png", (), False), ("cats/1.png", ("cats",), None),
        ("cats/more/2.png", ("cats",), None), ("unsafe/3.png", (), True),
    ]  # fmt: skip


def test_a_folder_without_media_names_the_tables_in_it(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("path\n")
    with pytest.raises(ConfigError, match=r"no pictures or videos \(name a table or archive in it: rows\.csv\)"):
        open_source(str(tmp_path))


def test_globs_and_single_files(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "b.png", "c.xyz")
    stream = open_source(f"{tmp_path}/*")
    assert [(each.id, each.problem[:9]) for each in stream] == [
        (f"{tmp_path}/a.png", ""), (f"{tmp_path}/b.png", ""), (f"{tmp_path}/c.xyz", "neither a"),
    ]  # fmt: skip
    assert stream.total == 3
    assert [each.locator for each in open_source(f"{tmp_path}/a.png")] == [FileMedia(path=tmp_path / "a.png")]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere/at/all", "'nowhere/at/all' does not exist"),
        ("nowhere/*.png", "matches no file"),
        ("x-{3..1}.tar", "goes backwards"),
        ("vhd11k-image", "did you mean 'vhd11k-images'"),
        ("https://host/rows.csv", "a table behind a URL"),
        ("smid", "where its files lie is not known"),
    ],
)
def test_what_leads_nowhere_is_refused_at_once(source: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        open_source(source)


def test_rows_of_a_csv(tmp_path: Path) -> None:
    put(tmp_path, "in/a.png", "in/b.mp4")
    table = write_csv(
        tmp_path / "rows.csv",
        ["ID", "Path", "caption", "label"],
        ["r1", "in/a.png", "one, two", "unsafe"],
        ["r2", "in\\b.mp4", "line\nbreak", "weapons"],
        ["r3", "https://host/x.webm?sig=1", "", "0"],
        ["r4", "s3://bucket/y.jpg", "", ""],
        ["r5", "in/gone.png", "", ""],
        ["r6", "", "", ""],
        ["r7", "in", "", ""],
    )
    samples = list(open_source(str(table)))
    assert samples[0] == Sample(
        id="r1", locator=FileMedia(path=tmp_path / "in/a.png"), modality="image", harmful=True, text="one, two"
    )
    assert samples[1] == Sample(
        id="r2", locator=FileMedia(path=tmp_path / "in/b.mp4"), modality="video", labels=("weapons",),
        text="line\nbreak",
    )  # fmt: skip
    assert samples[2] == Sample(
        id="r3", locator=UrlMedia(url="https://host/x.webm?sig=1"), modality="video", labels=("0",)
    )
    assert samples[3] == Sample(id="r4", locator=RemoteFile(url="s3://bucket/y.jpg"), modality="image")
    assert [(each.id, each.locator, each.problem) for each in samples[4:]] == [
        ("r5", NoMedia(), "'in/gone.png' does not exist"),
        ("r6", NoMedia(), "the name of the media is empty"),
        ("r7", NoMedia(), "'in' is not a file"),
    ]


def test_numbers_are_labels_only_where_the_column_is_named(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    table = write_csv(tmp_path / "rows.tsv.csv", ["path", "label"], ["a.png", "1"])
    assert [(each.harmful, each.labels) for each in open_source(str(table))] == [(None, ("1",))]
    named = open_source(str(table), columns=Columns(label="label"))
    assert [(each.harmful, each.labels) for each in named] == [(True, ())]


def test_without_ids_rows_are_named_by_their_media_and_stay_apart(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    table = write_csv(tmp_path / "rows.csv", ["path"], ["a.png"], [""], ["a.png"], ["a.png"])
    stream = open_source(str(table))
    assert [each.id for each in stream] == ["a.png", "rows.csv#1", "a.png#2", "a.png#3"]
    assert list(stream) == list(stream)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns(), r"no column that looks like media; its columns: name, what"),
        (Columns(media="pathh"), r"no column 'pathh'; its columns: name, what"),
        (Columns(media="name", label="wht"), r"no column 'wht'.*did you mean 'what'"),
    ],
)
def test_missing_columns_are_named_at_once(tmp_path: Path, columns: Columns, message: str) -> None:
    table = write_csv(tmp_path / "rows.csv", ["name", "what"], ["a.png", "b"])
    with pytest.raises(ConfigError, match=message):
        open_source(str(table), columns=columns)


def test_a_wider_root_is_permission_for_paths_outside_the_tables_folder(tmp_path: Path) -> None:
    put(tmp_path, "media/a.png")
    (tmp_path / "tables").mkdir()
    table = write_csv(tmp_path / "tables/rows.csv", ["path"], [str(tmp_path / "media/a.png")])
    assert [each.problem for each in open_source(str(table))] == [
        f"'{(tmp_path / 'media/a.png')!s:.57}...' lies outside '{tmp_path / 'tables'}' (a wider root allows it)"
    ]
    assert [each.locator for each in open_source(str(table), root=tmp_path)] == [
        FileMedia(path=tmp_path / "media/a.png")
    ]


def test_json_lines_may_have_columns_of_their_own(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    table = write_jsonl(tmp_path / "rows.jsonl", [{"note": 1}, {"media": {"file": "a.png"}, "id": 7}])
    samples = list(open_source(str(table), columns=Columns(media="media.file", id="id")))
    assert [(each.id, below(each, tmp_path), each.problem) for each in samples] == [
        ("rows.jsonl#0", "", "the name of the media is empty"), ("7", "a.png", ""),
    ]  # fmt: skip


def parquet(path: Path, rows: int, *, group: int) -> Path:
    images = [{"bytes": None if row == 2 else png(row), "path": f"{row}.png"} for row in range(rows)]
    columns = {"image": images, "text": [f"t{row}" for row in range(rows)], "raw": [png(100)] * rows}
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return path


def test_bytes_in_parquet_stay_there_until_they_are_read(tmp_path: Path) -> None:
    table = parquet(tmp_path / "rows.parquet", 7, group=3)
    stream = open_source(str(table))
    samples = list(stream)
    assert stream.total == 7
    assert samples[4] == Sample(
        id="rows.parquet#4", locator=TableCell(path=str(table), row=4, column="image.bytes"), modality="image",
        text="t4",
    )  # fmt: skip
    for row in (4, 0, 6, 5, 1, 3):  # forwards, backwards, in other row groups
        assert read_bytes(samples[row].locator, FILES).data == png(row)
    raw = list(open_source(str(table), columns=Columns(media="raw")))
    assert read_bytes(raw[2].locator, FILES).data == png(100)


def test_a_parquet_of_paths(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    pq.write_table(pa.table({"file_name": ["a.png", None], "label": [1.0, 0.0]}), tmp_path / "rows.parquet")
    samples = list(open_source(f"{tmp_path}/rows.parquet", columns=Columns(label="label")))
    assert [(below(each, tmp_path), each.harmful, each.problem) for each in samples] == [
        ("a.png", True, ""), ("", False, "the name of the media is empty"),
    ]  # fmt: skip


def test_several_tables_of_a_glob_are_one_source(tmp_path: Path) -> None:
    for name in ("x", "y"):
        parquet(tmp_path / f"{name}.parquet", 2, group=2)
    stream = open_source(f"{tmp_path}/*.parquet")
    assert (stream.total, [each.id for each in stream]) == (
        4, ["x.parquet#0", "x.parquet#1", "y.parquet#0", "y.parquet#1"],
    )  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["safe", "unsafe"]),
            "id": datasets.Value("string"),
        }
    )
    rows = {
        "image": [{"bytes": png(row), "path": None} for row in range(4)],
        "label": [0, 1, 1, 0],
        "id": [f"s{row}" for row in range(4)],
    }
    whole = datasets.Dataset.from_dict(rows, features=features)
    datasets.DatasetDict({"train": whole, "test": whole.select([3, 1])}).save_to_disk(folder / "set", num_shards=None)
    whole.save_to_disk(folder / "one", num_shards=2)
    return folder


def test_a_data_set_on_disk_with_the_names_of_its_classes(saved: Path) -> None:
    stream = open_source(str(saved / "set"), split="test")
    samples = list(stream)
    assert [(each.id, each.harmful) for each in samples] == [("s3", False), ("s1", True)]
    assert [read_bytes(each.locator, FILES).data for each in samples] == [png(3), png(1)]
    assert stream.total == 2


def test_a_data_set_on_disk_in_several_files(saved: Path) -> None:
    samples = list(open_source(str(saved / "one")))
    assert [read_bytes(each.locator, FILES).data for each in samples] == [png(row) for row in range(4)]


def test_a_split_must_be_named_and_exist(saved: Path) -> None:
    with pytest.raises(ConfigError, match=r"several splits \(known: train, test\)"):
        open_source(str(saved / "set"))
    with pytest.raises(ConfigError, match=r"no split 'tset'.*did you mean 'test'"):
        open_source(str(saved / "set"), split="tset")


def test_rows_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    """A table that is broken far behind gives all rows before the break."""
    table = tmp_path / "rows.csv"
    table.write_text("url\n" + "".join(f"https://host/{row}.png\n" for row in range(5000)) + '"https://x\n')
    stream = open_source(str(table))
    assert [each.id for each in itertools.islice(stream, 3)] == [f"https://host/{row}.png" for row in range(3)]
    with pytest.raises(ConfigError, match="breaks off at line 5002"):
        list(stream)


def test_urls_and_files_need_permission(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    sample = next(iter(open_source(f"{tmp_path}/a.png")))
    assert read_bytes(sample.locator, FILES).data == png(0)
    with pytest.raises(MediaError, match="files are off here"):
        read_bytes(sample.locator, Permissions())
