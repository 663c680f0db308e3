"""Pictures decoded in child processes, hostile ones too."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from judge.config import DecodingSettings
from judge.errors import MediaError
from judge.media import decode_image
from judge.types import Media
from serve.decoders import Decoders
from tests.serve.making import demo, picture


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def decoders() -> AsyncIterator[Decoders]:
    made = Decoders(1, DecodingSettings(memory_mb=64, wall_s=20))
    yield made
    await made.close()


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_picture_comes_back_as_decoded_here(decoders: Decoders) -> None:
    found, expected = await decoders.decode(demo(), "a"), decode_image(demo(), source="a")
    assert (found.id, found.kind, found.source) == (expected.id, expected.kind, expected.source)
    assert np.array_equal(found.frames[0].image, expected.frames[0].image)


async def test_bad_bytes_are_named(decoders: Decoders) -> None:
    with pytest.raises(MediaError, match="'x': not a picture"):
        await decoders.decode(b"plain words", "x")


async def test_a_picture_that_takes_too_much_memory_ends_nothing_else(decoders: Decoders) -> None:
    """6,000 x 6,000 pixels are 108 MB, and 64 MiB are allowed; the file has a few kilobytes."""
    with pytest.raises(MediaError, match="'bomb': decoding needs more than 64 MiB"):
        await decoders.decode(picture(0, 6000), "bomb")
    assert (await decoders.decode(picture(1), "next")).kind == "image"


async def test_processes_that_are_killed_are_replaced(decoders: Decoders) -> None:
    """Idle or not: which of the two it is here depends on the moment."""
    waiting = asyncio.create_task(decoders.decode(picture(2, 3000), "killed"))
    await asyncio.sleep(0.01)
    for child in multiprocessing.active_children():
        child.kill()
    (found,) = await asyncio.gather(waiting, return_exceptions=True)
    assert isinstance(found, Media | MediaError)
    assert (await decoders.decode(picture(1), "next")).kind == "image"


async def test_a_caller_who_leaves_ends_the_decoding(decoders: Decoders) -> None:
    waiting = asyncio.create_task(decoders.decode(picture(3, 4000), "left"))
    await asyncio.sleep(0.01)
    waiting.cancel()
    assert (await decoders.decode(picture(1), "next")).kind == "image"
