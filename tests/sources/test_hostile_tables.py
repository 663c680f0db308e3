"""Tables that are broken, huge, of the wrong kind, or lead outside."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from judge.errors import ConfigError, MediaError
from judge.media import Permissions
from judge.sources.columns import Columns
from judge.sources.open import open_source
from judge.sources.read import read_bytes
from judge.sources.sample import NoMedia, Sample, TableCell
from tests.sources.making import FILES, png, put


def read(path: Path, columns: Columns | None = None) -> list[Sample]:
    return list(open_source(str(path), columns=columns or Columns()))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", b"", "is empty: it has no header"),
        ("a.csv", b"path,path\n", "has the column 'path' twice"),
        ("a.csv", b'path\n"a.png"x\nb.png\n', "breaks off at line 2"),
        ("a.csv", b'path\n"a.png\nb.png\n', "breaks off at line 3"),
        ("a.csv", b"path\n" + b"x" * 200_000, "breaks off at line 2: field larger"),
        ("a.csv", "path\n".encode("utf-16"), "is UTF-16 .save it as UTF-8"),
        ("a.jsonl", b"", "is empty"),
        ("a.jsonl", b"[1]\n{]\n", "no column that looks like media; its columns: none"),
        ("a.json", b"", "is no JSON"),
        ("a.json", b"{", "is no JSON"),
        ("a.json", b"[" * 100_000, "is no JSON"),
        ("a.json", b"3", "holds no rows"),
        ("a.json", b'{"rows": [1]}', "holds no rows"),
        ("a.parquet", b"", "cannot be read as Parquet"),
        ("a.parquet", b"PAR1" + b"\0" * 100 + b"PAR1", "cannot be read as Parquet"),
        ("a.arrow", b"nonsense", "cannot be read as Arrow"),
    ],
)
def test_broken_tables_say_what_is_wrong(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ConfigError, match=message):
        read(tmp_path / name)


def test_rows_that_cannot_be_read_are_samples_with_a_problem(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    table = tmp_path / "a.jsonl"
    table.write_bytes(
        b'\xef\xbb\xbf{"path": "a.png"}\n\n{"path": \n3\n' + b"[" * 99_999 + b'\n{"path": "caf\xe9.png"}\n'
    )
    assert [(each.id, each.problem[:30]) for each in read(table)] == [
        ("a.png", ""),
        ("a.jsonl#1", "row 2 is no JSON: 'Expecting v"),
        ("a.jsonl#2", "row 3 is no JSON object"),
        ("a.jsonl#3", "row 4 is no JSON: 'maximum rec"),
        ("caf\xe9.png", "'caf\xe9.png' does not exist"),
    ]


def test_rows_of_the_wrong_length(tmp_path: Path) -> None:
    put(tmp_path, "a.png")
    table = tmp_path / "a.csv"
    table.write_text("path,label\na.png\na.png,safe,more\na.png,safe\n")
    assert [(each.id, each.problem) for each in read(table)] == [
        ("a.png", "1 cells under 2 columns"), ("a.png#1", "3 cells under 2 columns"), ("a.png#2", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("../secret.png", "lies outside"),
        ("in/../../secret.png", "lies outside"),
        ("/etc/hostname", "lies outside"),
        ("out.png", "lies outside"),
        ("away/secret.png", "lies outside"),
        ("round.png", "is no path|does not exist"),
        ("a\0.png", "is no path"),
        ("x" * 5000 + ".png", "is no path|does not exist"),
        ("file:///etc/hostname", "a table may not name media by 'file://'"),
        ("memory://x.png", "a table may not name media by 'memory://'"),
        ("s3::file:///etc/hostname", "does not exist|lies outside|may not name"),
        ("s3://x::file:///etc/hostname", "a table may not name media by 's3://'"),
    ],
)
def test_a_table_does_not_lead_out_of_its_folder(tmp_path: Path, path: str, problem: str) -> None:
    folder = tmp_path / "set"
    put(folder, "in/a.png")
    put(tmp_path, "secret.png")
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "away").symlink_to(tmp_path)
    (folder / "round.png").symlink_to(folder / "round.png")
    (folder / "rows.csv").write_bytes(f'path\n"{path}"\nin/a.png\n'.encode())
    first, second = read(folder / "rows.csv")
    assert first.locator == NoMedia()
    assert re.search(problem, first.problem)
    assert second.problem == ""


def test_a_table_that_is_a_pipe_or_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(ConfigError, match="contains no pictures"):
        open_source(str(tmp_path / "a.csv"))
    pipe = tmp_path / "b.csv"
    subprocess.run(["mkfifo", str(pipe)], check=True)
    with pytest.raises(ConfigError, match=r"b\.csv' is not a file"):
        open_source(str(pipe))


def test_cells_without_media(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    rows = [{"bytes": png(), "path": "a"}, {"bytes": None, "path": "b"}, None, {"bytes": b"", "path": "c"}]
    pq.write_table(pa.table({"image": pa.array(rows), "label": ["safe", None, "unsafe", "x"]}), path)
    samples = read(path)
    assert [(each.harmful, each.labels) for each in samples] == [(False, ()), (None, ()), (True, ()), (None, ("x",))]
    assert read_bytes(samples[0].locator, FILES).data == png()
    for sample in samples[1:]:
        with pytest.raises(MediaError, match="is empty"):
            read_bytes(sample.locator, FILES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"row": 9}, "the file has 1 rows"),
        ({"column": "nothing"}, "nothing"),
        ({"path": "gone.parquet"}, "'gone.parquet' does not exist"),
    ],
)
def test_cells_that_are_not_there(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [b"x"]}), path)
    cell = TableCell(path=str(path), row=0, column="image").model_copy(update=changes)
    with pytest.raises(MediaError, match=message):
        read_bytes(cell, FILES)


def test_a_cell_larger_than_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"image": [b"x" * 1000]}), path)
    with pytest.raises(MediaError, match="larger than the limit of 999 bytes"):
        read_bytes(TableCell(path=str(path), row=0, column="image"), Permissions(files=True, max_bytes=999))


@pytest.mark.parametrize(
    ("module", "source", "hint"),
    [
        ("pyarrow", "a.parquet", r"a Parquet file needs the package 'pyarrow'.*visual-judge\[label\]"),
        ("fsspec", "memory://x", r"a remote source needs the package 'fsspec'.*visual-judge\[label\]"),
        ("openpyxl", "a.xlsx", r"an Excel table needs the package 'openpyxl'.*visual-judge\[bench\]"),
    ],
)
def test_a_missing_package_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, source: str, hint: str
) -> None:
    for name in [each for each in sys.modules if each.partition(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / source).write_bytes(b"x") if "://" not in source else None
    with pytest.raises(ConfigError, match=hint):
        open_source(source if "://" in source else str(tmp_path / source))


def test_excel_tables(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    put(tmp_path, "a.png")
    book = openpyxl.Workbook()
    for row in (["path", "label", "when"], ["a.png", 1, None], [None, None, None], ["gone.png", 0, 3.5]):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    samples = read(tmp_path / "a.xlsx", Columns(label="label"))
    assert [(each.id, each.harmful, each.problem) for each in samples] == [
        ("a.png", True, ""), ("gone.png", False, "'gone.png' does not exist"),
    ]  # fmt: skip
    (tmp_path / "b.xlsx").write_bytes(b"PK\3\4 no archive")
    with pytest.raises(ConfigError, match="cannot be read as an Excel table"):
        read(tmp_path / "b.xlsx")
