from contextlib import closing
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from judge.config import DecodingSettings
from judge.errors import MediaError
from judge.media import FileMedia, ImageLimits, InlineMedia, MediaRef, Permissions, UrlMedia, load_media

from .clips import clip
from .making import encode, noise
from .serving import body, local_network, serve

PICTURE = noise(3, 4)
DATA = encode(Image.fromarray(PICTURE), "PNG")


def test_the_same_bytes_are_the_same_media_wherever_they_come_from(tmp_path: Path) -> None:
    path = tmp_path / "picture.txt"  # the suffix says nothing
    path.write_bytes(DATA)
    with serve() as site:
        site.answers["/picture?a"] = body(DATA, Content_Type="text/plain")
        found = [
            load_media(InlineMedia(data=DATA, name="upload"), Permissions()),
            load_media(FileMedia(path=path), Permissions(files=True)),
            load_media(UrlMedia(url=site.url("/picture?a")), Permissions(urls=True), network=local_network()),
        ]
        assert [media.source for media in found] == ["upload", str(path), site.url("/picture")]
    assert [media.id for media in found] == [sha256(DATA).hexdigest()] * 3
    for media in found:
        np.testing.assert_array_equal(media.frames[0].image, PICTURE)


def test_permissions_and_limits_are_passed_on(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(DATA)
    with pytest.raises(MediaError, match="files are off here"):
        load_media(FileMedia(path=path), Permissions())
    with pytest.raises(MediaError, match="4 x 3 pixels: more than 11 in all"):
        load_media(FileMedia(path=path), Permissions(files=True), ImageLimits(max_pixels=11))


def test_a_video_comes_open_and_without_frames(tmp_path: Path) -> None:
    path = tmp_path / "clip.jpg"  # the suffix says nothing
    path.write_bytes(clip(n_frames=3))
    media = load_media(FileMedia(path=path), Permissions(files=True))
    assert (media.kind, media.frames, media.source) == ("video", (), str(path))
    assert media.id == sha256(path.read_bytes()).hexdigest()
    assert media.video is not None
    with closing(media.video):
        assert [frame.index for frame in media.video.read([2, 0])] == [0, 2]


def test_limits_of_decoding_are_passed_on() -> None:
    limits = DecodingSettings(max_bytes=100)
    with pytest.raises(MediaError, match=r"'clip': 1,\d\d\d bytes: more than 100"):
        load_media(InlineMedia(data=clip(n_frames=1), name="clip"), Permissions(), decoding=limits)


def test_a_web_page_instead_of_a_picture() -> None:
    with serve() as site:
        site.answers["/a.jpg"] = body(b"<!doctype html><p>log in first", Content_Type="image/jpeg")
        with pytest.raises(MediaError, match=r"a\.jpg': not a picture; detected type: HTML page \(supported"):
            load_media(UrlMedia(url=site.url("/a.jpg")), Permissions(urls=True), network=local_network())


def test_references_as_json() -> None:
    adapter: TypeAdapter[MediaRef] = TypeAdapter(MediaRef)
    refs: list[MediaRef] = [
        InlineMedia(data=bytes(range(256)), name="a"),
        UrlMedia(url="http://a.example/"),
        FileMedia(path=Path("b/c")),
    ]
    assert [adapter.validate_json(adapter.dump_json(ref)) for ref in refs] == refs
    assert adapter.dump_json(InlineMedia(data=b"abc")) == b'{"kind":"inline","data":"YWJj","name":"inline"}'
    with pytest.raises(ValidationError, match="does not match any of the expected tags"):
        adapter.validate_json('{"kind":"path","path":"/etc/passwd"}')
