"""How the frames of a video reach the report."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from judge.assets import sample_media_path
from judge.cli.score import strip_of
from judge.errors import MediaError
from judge.pipeline import engine_failed
from judge.types import Frame, Media, Thumbnails, Verdict, VideoInfo
from tests.cli.running import judge
from tests.report.making import film, video_row


class OpenFilm:
    """A video of 125 frames in 12.4 s, in memory; from the frame `broken_at` on it is damaged."""

    def __init__(self, broken_at: int = 125) -> None:
        self._frames = film(125, 12.4)
        self._broken_at = broken_at
        self.read_indices: list[int] = []

    @property
    def info(self) -> VideoInfo:
        return VideoInfo(tuple(f.timestamp_s for f in self._frames), (0,), 12.4, width_px=160, height_px=90)

    def read(self, indices: Sequence[int]) -> list[Frame]:
        self.read_indices += indices
        if max(indices) >= self._broken_at:
            raise MediaError("the frame at 4.1 s cannot be decoded")
        return [self._frames[index] for index in indices]

    def thumbnails(self, indices: Sequence[int]) -> Thumbnails:
        return Thumbnails(tuple(indices), np.stack([self._frames[index].image[::5, ::5] for index in indices]))

    def close(self) -> None: ...


def verdict() -> Verdict:
    found = video_row().verdict
    assert found is not None
    return found


def test_only_judged_frames_of_an_open_video_are_read_again() -> None:
    source = OpenFilm()
    strip = strip_of(Media("m", "video", (), 12.4, video=source), verdict())
    assert source.read_indices == [0, 12, 24, 34, 41, 50, 62, 80, 100, 120]
    assert strip is not None
    assert [frame.index for frame in strip.frames] == source.read_indices
    assert (strip.frames[4].time_ms, strip.duration_s) == (4100, 12.4)


def test_a_video_that_cannot_be_read_again_has_no_strip(caplog: pytest.LogCaptureFixture) -> None:
    assert strip_of(Media("m", "video", (), 12.4, "clip.mp4", OpenFilm(broken_at=40)), verdict()) is None
    assert "'clip.mp4': no frames for the report: the frame at 4.1 s cannot be decoded" in caplog.text


@pytest.mark.slow
def test_an_animation_is_shown_with_the_frames_that_decided(tmp_path: Path) -> None:
    demo = sample_media_path("demo")
    pictures = [Image.open(demo / name).convert("RGB") for name in ("harmless-1.png", "harmful-hate-words.png")]
    animation, page = tmp_path / "two.gif", tmp_path / "page.html"
    pictures[0].save(animation, save_all=True, append_images=[pictures[1]], duration=500)
    result = judge("score", str(animation), "--report", str(page), "--explain")
    assert result.returncode == 0, result.stderr
    assert re.search(r"^  video .*, 2 frames judged$", result.stdout, flags=re.MULTILINE)
    html = page.read_text()
    assert html.count("data:image/jpeg;base64,") == 2
    assert "video 0:01.0, 2 frames judged" in html
    assert "2 frames are shown; 2 were judged" in html


def test_the_limit_of_a_file_is_the_one_for_videos(tmp_path: Path) -> None:
    """The default of 64 MiB for whoever reads media is too little for videos."""
    large, config = tmp_path / "large.mp4", tmp_path / "small.yaml"
    with large.open("wb") as file:
        file.truncate(65 * 2**20)
    config.write_text("video: {decoding: {max_bytes: 1000}}\n")
    for options, reason in (((), "not a picture"), (("--config", str(config)), "larger than the limit of 1,000 bytes")):
        result = judge("score", str(large), "--json", *options)
        (row,) = json.loads(result.stdout)
        assert (result.returncode, row["decision"]) == (3, "uncertain")
        assert reason in row["error"]["message"]


@pytest.mark.parametrize(
    ("reason", "failed"),
    [
        ("lit is undecided: the video could not be read: frame 0 at 0.0 s is damaged", True),
        ("the engine failed: out of memory", True),
        ("lit is undecided: 2 of 5 voters say Yes, 1 could not be read", False),
        ("", False),
    ],
)
def test_a_doubt_is_no_failure(reason: str, failed: bool) -> None:
    row = video_row()
    assert row.verdict is not None
    changed = row.verdict.model_copy(update={"reason": reason})
    assert engine_failed(changed) is failed
