"""Decoding in a child with limits: what is hostile costs its own row, and the next bundle is decoded all the same."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from judge.bulk.decoders import PictureDecoder
from judge.bulk.item import Bundle, Item
from judge.config import DecodingSettings
from tests.bulk.making import item


@pytest.fixture(scope="module")
def decoder() -> Iterator[PictureDecoder]:
    made = PictureDecoder(DecodingSettings(memory_mb=400, wall_s=60))
    yield made
    made.close()


def png(side_px: int, shade: int = 9) -> bytes:
    file = BytesIO()
    Image.new("RGB", (side_px, side_px), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


def holding(index: int, data: bytes) -> Item:
    return replace(item(index), data=data)


def test_each_picture_is_decoded_or_has_its_reason(decoder: PictureDecoder) -> None:
    items = [holding(0, png(8)), holding(1, b"no picture"), item(2, duplicate_of=0), holding(3, png(9)[:40])]
    first, second, third, fourth = decoder(Bundle(0, tuple(items))).items
    assert first.media is not None
    assert first.data is None
    assert np.array_equal(first.media.frames[0].image, np.full((8, 8, 3), (9, 0, 0), dtype=np.uint8))
    assert second.error is not None
    assert "not a picture" in second.error.message
    assert third == items[2]
    assert fourth.error is not None
    assert not fourth.waits


def test_videos_and_very_large_pictures_stay_encoded(decoder: PictureDecoder) -> None:
    video = b"\0\0\0\x18ftypmp42" + b"\0" * 64
    large = png(2100)
    found = decoder(Bundle(0, (holding(0, video), holding(1, large)))).items
    assert [each.media for each in found] == [None, None]
    assert [each.data for each in found] == [video, large]


def test_a_picture_that_takes_too_much_memory_is_refused_and_the_next_is_decoded(decoder: PictureDecoder) -> None:
    tight = PictureDecoder(DecodingSettings(memory_mb=100, wall_s=60))
    try:
        found = tight(Bundle(0, (holding(0, png(7000)), holding(1, png(8))))).items
    finally:
        tight.close()
    assert found[0].error is not None
    assert "100 MiB" in found[0].error.message
    assert found[1].media is not None


def test_a_decoder_that_is_killed_is_started_again(decoder: PictureDecoder) -> None:
    decoder(Bundle(0, (holding(0, png(8)),)))
    for worker in list(decoder._pool._pool_manager.worker_manager.workers):
        os.kill(worker, signal.SIGKILL)
    found = [decoder(Bundle(number, (holding(0, png(8)),))).items[0] for number in range(1, 4)]
    assert found[-1].media is not None
