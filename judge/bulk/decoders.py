"""Decodes the pictures of a bundle in a child process with limits: a hostile file costs itself, and nobody's memory.

Videos stay encoded: their decoder is a process of its own already. So do pictures of many pixels, which would fill the
store between the processes: having been decoded here once, they are decoded again where they are judged.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooSlow
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

from pebble import ProcessExpired, ProcessPool

from judge.bulk.item import Bundle, Item
from judge.config import DecodingSettings
from judge.decoding.limits import limit_memory
from judge.errors import MediaError
from judge.media import decode_image
from judge.media.signature import sniff
from judge.types import Media

MOST_PASSED_ON_BYTES = 12 * 2**20
"""Pixels of one picture that are passed on."""


class PictureDecoder:
    """A step from bundle to bundle; see `judge.bulk.plan.DecoderSpec`."""

    def __init__(self, limits: DecodingSettings, processes: int = 1) -> None:
        self._limits = limits
        self._processes = processes
        self._pool = self._new_pool()

    def __call__(self, bundle: Bundle) -> Bundle:
        if not self._pool.active:
            self._pool = self._new_pool()
        begun = [(item, self._begin(item)) for item in bundle.items]
        return replace(bundle, items=tuple(self._end(item, future) for item, future in begun))

    def close(self) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()

    def _begin(self, item: Item) -> Future[Media | None] | None:
        if item.data is None or not item.waits or sniff(item.data).kind == "video":
            return None
        decoding: Future[Media | None] = self._pool.schedule(
            _decode, args=(item.data, item.sample.id), timeout=self._limits.wall_s
        )
        return decoding

    def _end(self, item: Item, decoding: Future[Media | None] | None) -> Item:
        if decoding is None:
            return item
        named = f"'{item.sample.id}'"
        try:
            media = decoding.result()
        except MediaError as error:
            return item.failed(error)
        except TooSlow:
            return item.failed(MediaError(f"{named}: decoding took longer than {self._limits.wall_s:g} s"))
        except MemoryError:
            too_much = f"{named}: decoding needs more than {self._limits.memory_mb} MiB"
            return item.failed(MediaError(too_much, hint="scale it down"))
        except (ProcessExpired, BrokenProcessPool):
            return item.failed(MediaError(f"{named}: the decoder crashed", hint="the file is damaged, or too large"))
        return item if media is None else replace(item, data=None, media=media)

    def _new_pool(self) -> ProcessPool:
        return ProcessPool(
            max_workers=self._processes,
            context=multiprocessing.get_context("spawn"),  # a fork would copy locks that other threads hold
            initializer=limit_child, initargs=(self._limits.memory_mb * 2**20,),
        )  # fmt: skip


def limit_child(memory_bytes: int) -> None:
    """Runs in the child; it is here so that what decoding needs is loaded before memory is limited."""
    limit_memory(memory_bytes)


def _decode(data: bytes, source: str) -> Media | None:
    """None if the pixels are too many to be passed on."""
    try:
        media = decode_image(data, source=source)
    except MediaError as error:
        if _is_out_of_memory(error):
            raise MemoryError from error
        raise
    return media if _size_bytes([media]) <= MOST_PASSED_ON_BYTES else None


def _size_bytes(media: Sequence[Media]) -> int:
    return sum(frame.image.nbytes for each in media for frame in each.frames)


def _is_out_of_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__
    return False
