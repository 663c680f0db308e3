"""What may be handed to the client, before anything is sent."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from judge.client import Input, JudgeClient, MediaItem
from judge.client.calls import judge_body, judge_options
from judge.client.media import Upload, to_uploads
from judge.client.wire import JudgeRequest
from judge.errors import ConfigError, MediaError


def test_a_string_is_never_a_path(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(ConfigError) as caught:
        to_uploads(str(tmp_path / "a.png"))
    assert caught.value.hint == "give a file as pathlib.Path(...)"


def test_files_are_read_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    assert to_uploads(tmp_path / "a.png") == [Upload("a.png", "", b"x")]
    with pytest.raises(MediaError, match="does not exist"):
        to_uploads([tmp_path / "a.png", tmp_path / "b.png"])
    with pytest.raises(MediaError, match="a folder"):
        to_uploads(tmp_path)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P", "CMYK", "F", "HSV", "YCbCr"])
def test_pictures_of_any_mode_become_png(mode: str) -> None:
    (upload,) = to_uploads(Image.new("RGB", (3, 2), (250, 10, 10)).convert(mode))
    assert upload.data is not None
    with Image.open(io.BytesIO(upload.data)) as sent:
        assert (sent.format, sent.size) == ("PNG", (3, 2))


@pytest.mark.parametrize(
    ("media", "text"),
    [
        ([], ""),
        ([b"x"], ["a", "b"]),
        ([3], ""),
        (["data:image/png;base64,@@"], ""),
        (["ftp://example.org/x.png"], ""),
        ([MediaItem(data="@@")], ""),
    ],
)
def test_what_cannot_be_media(media: Any, text: Any) -> None:
    with pytest.raises(ConfigError):
        to_uploads(media, text)


@pytest.mark.parametrize(
    "options",
    [
        {"stages": {"votes": True}},
        {"budget": {"seconds": -1}},
        {"constitution": "a", "constitution_inline": "b"},
        {"constitution": "x" * 300},
    ],
)
def test_options_that_cannot_be_are_not_sent(options: dict[str, Any]) -> None:
    with JudgeClient("http://127.0.0.1:9") as client, pytest.raises(ConfigError):
        client.judge(b"x", **options)


def test_bytes_go_as_multipart_and_urls_as_json() -> None:
    options = judge_options(constitution="stickers", stages={"vote": True})
    assert set(judge_body(to_uploads([b"x", b"y"]), options)) == {"files", "data"}
    mixed: list[Input] = [b"x", "https://example.org/a.png"]
    body = judge_body(to_uploads(mixed, "words"), options)
    request = JudgeRequest.model_validate_json(body["content"])
    assert request.media == (
        MediaItem(data=base64.b64encode(b"x").decode(), name="0", text="words"),
        MediaItem(url="https://example.org/a.png", name="1", text="words"),
    )
    assert (request.constitution, request.stages.vote, request.stream) == ("stickers", True, False)
