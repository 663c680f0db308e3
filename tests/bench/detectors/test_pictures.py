"""What reaches a classifier of real files: pictures of every shape, animations, and no video."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPModel

from judge.bench.detectors.base import DetectorSettings
from judge.bench.detectors.clip_side import clip_vectors
from judge.bench.detectors.image_classifier import Falconsai
from judge.bench.detectors.pictures import frames_of, picture_of, why_not
from judge.bench.detectors.q16 import Q16
from judge.errors import MediaError
from judge.media import InlineMedia, Permissions, load_media
from judge.types import Frame, Media
from tests.bench.detectors.pictures import animation, picture, pixels, text
from tests.bench.detectors.plain_clip import unit_vector
from tests.bench.detectors.tiny_checkpoints import tiny_falconsai, tiny_q16
from tests.media.clips import clip


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> DetectorSettings:
    return tiny_falconsai(tmp_path_factory.mktemp("falconsai"))


def gif(*seeds: int) -> bytes:
    first, *rest = (Image.fromarray(pixels(picture(seed))) for seed in seeds)
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=rest, duration=100)
    return file.getvalue()


def load(data: bytes, name: str) -> Media:
    return load_media(InlineMedia(data=data, name=name), Permissions())


async def test_real_files_go_through(settings: DetectorSettings) -> None:
    """A PNG, a GIF whose highest frame counts, and a video file, which is abstained."""
    file = io.BytesIO()
    Image.fromarray(pixels(picture(0))).save(file, "PNG")
    still, moving, video = load(file.getvalue(), "a.png"), load(gif(0, 1, 2), "b.gif"), load(clip("mp4"), "c.mp4")
    try:
        detector = Falconsai.from_settings(settings)
        found = await detector.detect([still, moving, video, still])
        assert [each.score is None for each in found] == [False, False, True, False]
        assert (found[2].flagged, found[2].failed) == (None, False)
        assert found[2].reason == "it is a video: this detector takes pictures and animations"
        assert found[0].score == found[3].score
        frames = [Media(f"{n:064x}", "image", (frame,), 0.0) for n, frame in enumerate(moving.frames)]
        assert len(frames) == 3
        scores = [each.score or 0.0 for each in await detector.detect(frames)]
        assert found[1].score == pytest.approx(max(scores), abs=1e-6)
    finally:
        assert video.video is not None
        video.video.close()


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (40, 3), (1, 40), (3, 3), (3, 1), (1, 3), (700, 500)])
def test_no_shape_is_mistaken_for_channels(size: tuple[int, int], tmp_path: Path) -> None:
    """Three rows of pixels look like three channels to whoever guesses."""
    settings = tiny_q16(tmp_path)
    detector, media = Q16.from_settings(settings), picture(3, size)
    assert detector._checkpoint is not None
    with torch.inference_mode():
        (found,) = clip_vectors(detector._checkpoint, [picture_of(media.frames[0])])
    assert found.numpy() == pytest.approx(unit_vector(CLIPModel.from_pretrained(settings.model), media), abs=1e-5)


async def test_a_thread_of_pixels_is_refused_before_it_is_enlarged(settings: DetectorSettings) -> None:
    found = await Falconsai.from_settings(settings).detect([picture(0), picture(1, (1, 30_000)), picture(2, (4, 400))])
    assert [each.failed for each in found] == [False, True, False]
    assert found[1].reason == "30000 x 1 pixels: more than 100 times as long as wide"


def test_frames_are_spread_evenly_and_checked() -> None:
    shown = animation(*range(10))
    assert [frame.index for frame in frames_of(shown, 4)] == [0, 3, 6, 9]
    assert [frame.index for frame in frames_of(shown, 1)] == [0]
    assert len(frames_of(picture(1), 8)) == 1
    for image in (
        np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ):  # fmt: skip
        with pytest.raises(MediaError, match="'odd\nname': frame 7 is no RGB picture"):
            frames_of(Media("a" * 64, "image", (Frame(7, 0.0, image),), 0.0, "odd\nname"), 8)
    with pytest.raises(MediaError, match="'none' has no picture"):
        frames_of(Media("a" * 64, "image", (), 0.0, "none"), 8)


def test_kinds_that_are_not_looked_at() -> None:
    assert why_not(text()) == "it is text: this detector takes pictures and animations"
    assert (why_not(picture(1)), why_not(animation(1, 2))) == ("", "")
