import os
from pathlib import Path

import pytest

from judge.errors import MediaError
from judge.media.inputs import FailedInput, FoundInput, Input, expand_inputs
from judge.media.reference import FileMedia, UrlMedia


def file(path: str) -> FoundInput:
    return FoundInput(path, FileMedia(path=Path(path)))


def url(text: str) -> FoundInput:
    return FoundInput(text, UrlMedia(url=text))


def failure(found: Input) -> tuple[str, str]:
    assert isinstance(found, FailedInput)
    assert isinstance(found.error, MediaError)
    return found.name, str(found.error)


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    names = "b.jpg a.PNG notes.txt .hidden.png sub/c.webp sub/deep/d.gif .git/e.png empty/.keep text/f.txt odd[1].png"
    names += " films/a.mp4 films/b.WEBM films/c.mkv films/d.mov films/e.avi films/f.m4v films/g.m3u8 films/h.srt"
    for name in names.split():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_paths_and_urls_are_taken_as_they_are(tree: Path) -> None:
    arguments = [
        "b.jpg",
        "notes.txt",
        "missing.jpg",
        "http://a.example/x?y=*",
        "HTTPS://a.example/",
        "ftp://a.example/z",
    ]
    expected = [*map(file, arguments[:3]), *map(url, arguments[3:])]
    assert expand_inputs(arguments) == expected


def test_a_folder_gives_its_pictures_and_videos_in_order(tree: Path) -> None:
    expected = ["a.PNG", "b.jpg", "odd[1].png", "sub/c.webp", "sub/deep/d.gif"]
    assert [one for one in expand_inputs(["."]) if "films" not in one.name] == [file(path) for path in expected]
    assert expand_inputs(["sub/"]) == [file("sub/c.webp"), file("sub/deep/d.gif")]
    assert expand_inputs(["films"]) == [
        file(f"films/{name}") for name in ("a.mp4", "b.WEBM", "c.mkv", "d.mov", "e.avi", "f.m4v")
    ]
    assert expand_inputs([".git"]) == [file(".git/e.png")]


def test_globs(tree: Path) -> None:
    assert expand_inputs(["*.txt"]) == [file("notes.txt")]
    assert expand_inputs(["**/*.[wg]*"]) == [file("sub/c.webp"), file("sub/deep/d.gif")]
    assert expand_inputs(["sub/*"]) == [file("sub/c.webp")]
    assert expand_inputs(["odd[1].png"]) == [file("odd[1].png")]


def test_what_leads_to_nothing_is_a_failure_in_its_place(tree: Path) -> None:
    found = expand_inputs(["a.PNG", "empty", "text", "*.mp4", "", "b.jpg"])
    assert [found[0], found[5]] == [file("a.PNG"), file("b.jpg")]
    assert [failure(one) for one in found[1:5]] == [
        ("empty", "folder 'empty' contains no pictures or videos (1 other files lie there)"),
        ("text", "folder 'text' contains no pictures or videos (1 other files lie there)"),
        ("*.mp4", "pattern '*.mp4' matches no file"),
        ("", "an empty argument names nothing"),
    ]


def test_standard_input(tree: Path) -> None:
    lines = iter(["sub/c.webp\n", "\n", "http://a.example/\r\n", "with space.jpg\n", "*.png"])
    expected = [
        file("b.jpg"),
        file("sub/c.webp"),
        url("http://a.example/"),
        file("with space.jpg"),
        file("*.png"),
        file("a.PNG"),
    ]
    assert expand_inputs(["b.jpg", "-", "a.PNG"], lines) == expected
    assert [failure(one) for one in expand_inputs(["-"], ["\n"])] == [("-", "standard input lists no path or URL")]


def test_a_folder_that_cannot_be_listed_is_named(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Denied by hand, because root may list everything."""
    scan = os.scandir

    def deny(path: str) -> object:
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", deny)
    found = expand_inputs(["sub"])
    assert found[0] == file("sub/c.webp")
    assert [failure(one) for one in found[1:]] == [
        ("sub/deep", "folder 'sub/deep' cannot be listed: Permission denied")
    ]


def test_links_to_folders_are_not_followed(tree: Path) -> None:
    (tree / "sub" / "loop").symlink_to(tree)
    assert expand_inputs(["sub"]) == [file("sub/c.webp"), file("sub/deep/d.gif")]
