"""WebDataset archives, also hostile ones."""

from __future__ import annotations

import gzip
import json
import tarfile
from pathlib import Path

import pytest

from judge.errors import MediaError
from judge.media import Permissions
from judge.sources.columns import Columns
from judge.sources.open import open_source
from judge.sources.read import read_bytes
from judge.sources.sample import NoMedia, TarMember
from judge.sources.shards import expand_shards
from tests.sources.making import FILES, png, write_tar


def test_members_that_share_a_key_are_one_sample(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "a.tar",
        [
            ("x/1.png", png(1)),
            ("x/1.json", json.dumps({"label": "unsafe", "id": 7}).encode()),
            ("x/1.txt", b"words"),
            ("x/2.json", b"{}"),
            ("x/2.MP4", b"clip"),
            ("x/2.cls", b"3\n"),
            ("x/3.txt", b"no media"),
        ],
    )
    one, two, three = open_source(str(path))
    assert (one.id, one.harmful, one.labels, one.text, one.modality) == ("a.tar/x/1", True, (), "words", "image")
    assert isinstance(one.locator, TarMember)
    assert (one.locator.name, read_bytes(one.locator, FILES).data) == ("x/1.png", png(1))
    assert (two.id, two.labels, two.modality, two.problem) == ("a.tar/x/2", ("3",), "video", "")
    assert (three.id, three.locator, three.problem) == (
        "a.tar/x/3", NoMedia(), "no picture or video among its files",
    )  # fmt: skip


def test_columns_of_the_json_beside_the_media(tmp_path: Path) -> None:
    row = {"uid": "u1", "meta": {"nsfw": 1}, "alt": "words"}
    path = write_tar(tmp_path / "a.tar", [("1.jpg", png()), ("1.json", json.dumps(row).encode())])
    columns = Columns(id="uid", label="meta.nsfw", text="alt")
    assert [(each.id, each.harmful, each.text) for each in open_source(str(path), columns=columns)] == [
        ("u1", True, "words")
    ]


def test_several_media_of_one_key_are_several_samples(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.left.png", png(1)), ("1.right.png", png(2))])
    samples = list(open_source(str(path)))
    assert [each.id for each in samples] == ["a.tar/1.left.png", "a.tar/1.right.png"]
    assert [read_bytes(each.locator, FILES).data for each in samples] == [png(1), png(2)]


def test_a_range_of_archives(tmp_path: Path) -> None:
    for number in range(3):
        write_tar(tmp_path / f"s-{number:03}.tar", [("k.png", png(number))])
    samples = list(open_source(f"{tmp_path}/s-{{000..002}}.tar"))
    assert [each.id for each in samples] == [f"s-{number:03}.tar/k" for number in range(3)]
    assert expand_shards("a{8..10}b{0..1}") == ["a8b0", "a8b1", "a9b0", "a9b1", "a10b0", "a10b1"]


def link(name: str, to: str, kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def test_members_that_leave_the_archive_or_are_no_files_are_samples_with_a_problem(tmp_path: Path) -> None:
    path = write_tar(
        tmp_path / "a.tar",
        [
            ("../../out.png", png()),
            ("/etc/out.png", png()),
            (link("soft.png", "/etc/passwd", tarfile.SYMTYPE), b""),
            (link("hard.png", "fine.png", tarfile.LNKTYPE), b""),
            (link("device.png", "", tarfile.CHRTYPE), b""),
            ("fine.png", png(9)),
        ],
    )
    found = {each.id: (each.problem, each.locator == NoMedia()) for each in open_source(str(path))}
    assert found == {
        "a.tar/../../out": ("'../../out.png' leaves the archive", True),
        "a.tar//etc/out": ("'/etc/out.png' leaves the archive", True),
        "a.tar/soft": ("'soft.png' is a link or a device, not a file", True),
        "a.tar/hard": ("'hard.png' is a link or a device, not a file", True),
        "a.tar/device": ("'device.png' is a link or a device, not a file", True),
        "a.tar/fine": ("", False),
    }


def test_a_declared_size_beyond_the_end_is_not_believed(tmp_path: Path) -> None:
    huge = tarfile.TarInfo("huge.png")
    huge.size = 50 * 2**40
    path = tmp_path / "a.tar"
    path.write_bytes(tarfile.TarInfo("fine.png").tobuf() + huge.tobuf(tarfile.GNU_FORMAT) + png())
    problems = [each.problem for each in open_source(str(path))]
    assert problems[:2] == ["", "'huge.png' is cut off: it declares 54,975,581,388,800 bytes"]
    assert [each[:54] for each in problems[2:]] == ["archive 'a.tar' cannot be read after 'huge': [Errno 22"]


def test_a_member_is_not_read_if_it_is_larger_than_allowed(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.png", b"x" * 5000)])
    sample = next(iter(open_source(str(path))))
    with pytest.raises(MediaError, match="larger than the limit of 4,999 bytes"):
        read_bytes(sample.locator, Permissions(files=True, max_bytes=4999))


def test_an_archive_that_was_cut_later_on(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.png", b"x" * 5000)])
    sample = next(iter(open_source(str(path))))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(MediaError, match="the archive ends within it"):
        read_bytes(sample.locator, FILES)
    path.unlink()
    with pytest.raises(MediaError, match="does not exist"):
        read_bytes(sample.locator, FILES)


def test_a_broken_archive_gives_what_it_holds_and_then_a_problem(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.png", png()), ("2.png", png())])
    data = bytearray(path.read_bytes())
    data[1024 : 1024 + 512] = b"\xff" * 512  # the header of the second member
    path.write_bytes(data)
    first, second = open_source(str(path))
    assert (first.id, first.problem) == ("a.tar/1", "")
    assert second.locator == NoMedia()
    assert second.problem.startswith("archive 'a.tar' cannot be read after '1'")


@pytest.mark.parametrize("data", [b"", b"not a tar" * 100, gzip.compress(b"x" * 2000)], ids=["empty", "text", "gzip"])
def test_what_is_no_archive_is_one_sample_with_a_problem(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(data)
    assert [each.problem[:28] for each in open_source(f"{tmp_path}/a.tar")] == ["archive 'a.tar' cannot be re"]


@pytest.mark.parametrize(
    ("sidecar", "problem"),
    [
        (b"[1]", "its JSON is no object"),
        (b"{", "its JSON cannot be read"),
        (b"[" * 100_000, "its JSON cannot be read"),
        (b" " * (2**20 + 1), "'1.json' is too large: 1,048,577 bytes"),
    ],
    ids=["list", "broken", "deep", "huge"],
)
def test_a_wrong_sidecar_is_a_problem_of_its_sample(tmp_path: Path, sidecar: bytes, problem: str) -> None:
    path = write_tar(tmp_path / "a.tar", [("1.png", png()), ("1.json", sidecar), ("2.png", png())])
    found = [each.problem for each in open_source(str(path))]
    assert found[0].startswith(problem)
    assert found[1:] == [""]
