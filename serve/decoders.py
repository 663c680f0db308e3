"""Decodes pictures in child processes: a hostile file costs one of them at most, and never the event loop.

Not for videos, whose decoder is a process of its own already (`judge.media.video`).
"""

from __future__ import annotations

import asyncio
import multiprocessing
from concurrent.futures import TimeoutError as TooSlow
from concurrent.futures.process import BrokenProcessPool

from pebble import ProcessExpired, ProcessPool

from judge.config import DecodingSettings
from judge.decoding.limits import limit_memory
from judge.errors import MediaError
from judge.media import decode_image
from judge.types import Media


class Decoders:
    """A pool of processes, started when first used.

    Args:
        n_processes: Pictures decoded at the same time.
        limits: Memory and seconds for one picture.
    """

    def __init__(self, n_processes: int, limits: DecodingSettings) -> None:
        self._n_processes = n_processes
        self._limits = limits
        self._pool = self._new_pool()

    async def start(self) -> None:
        """Start the processes now, which takes seconds, and not with the first pictures."""
        ready = [self._pool.schedule(_nothing) for _ in range(self._n_processes)]
        await asyncio.gather(*map(asyncio.wrap_future, ready))

    async def decode(self, data: bytes, source: str) -> Media:
        """As `judge.media.decode_image`; cancelling it kills the process.

        Raises:
            MediaError: Also if it takes too long or too much memory, or kills the process.
        """
        if not self._pool.active:  # somebody killed an idle process: the whole pool is of no use then
            self._pool = self._new_pool()
        decoding = self._pool.schedule(_decode, args=(data, source), timeout=self._limits.wall_s)
        try:
            media: Media = await asyncio.wrap_future(decoding)
        except TooSlow as error:
            raise MediaError(f"{source!r}: decoding took longer than {self._limits.wall_s:g} s") from error
        except MemoryError as error:
            too_much = f"{source!r}: decoding needs more than {self._limits.memory_mb} MiB"
            raise MediaError(too_much, hint="scale it down") from error
        except (ProcessExpired, BrokenProcessPool) as error:
            raise MediaError(f"{source!r}: the decoder crashed", hint="the file is damaged, or too large") from error
        return media

    async def close(self) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]
        await asyncio.to_thread(self._pool.join)

    def _new_pool(self) -> ProcessPool:
        return ProcessPool(
            max_workers=self._n_processes,
            context=multiprocessing.get_context("spawn"),  # a fork would copy locks that threads of Ray hold just then
            initializer=_begin, initargs=(self._limits.memory_mb * 2**20,),
        )  # fmt: skip


def _begin(memory_bytes: int) -> None:
    """Runs in the child. It is here, and not in the module of the limits, so that what decoding needs is loaded first:
    a child that cannot load it would be started again for ever.
    """
    limit_memory(memory_bytes)


def _decode(data: bytes, source: str) -> Media:
    try:
        return decode_image(data, source=source)
    except MediaError as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, MemoryError):
                raise MemoryError from error
            cause = cause.__cause__
        raise


def _nothing() -> None:
    """The first task of a process."""
