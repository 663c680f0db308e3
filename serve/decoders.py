"""Pictures are decoded in processes that are killed beyond their limits, and off the event loop.

Videos have a process each already (`judge.media.video`); reading their bytes costs a thread.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import resource
from concurrent.futures import TimeoutError

from pebble import ProcessExpired, ProcessPool

from judge.config import DecodingSettings
from judge.errors import MediaError
from judge.media import Permissions, load_media
from judge.media.dial import PUBLIC_INTERNET, Network
from judge.media.fetch import fetch
from judge.media.image import decode_image
from judge.media.reference import InlineMedia, UrlMedia
from judge.media.signature import sniff
from judge.types import Media

_MEMORY_BYTES = 2 * 2**30
"""Address space of one process: the largest picture allowed takes a third of it."""
_WALL_S = 30.0
_TASKS = 512
"""Pictures before a process is replaced: what leaks does not add up."""


class Decoders:
    """A pool of processes; `close` ends them."""

    def __init__(
        self,
        n_processes: int,
        permissions: Permissions,
        decoding: DecodingSettings,
        *,
        network: Network = PUBLIC_INTERNET,
    ) -> None:
        self._permissions = permissions
        self._decoding = decoding
        self._network = network
        self._pool = ProcessPool(
            max_workers=n_processes,
            max_tasks=_TASKS,
            initializer=_limit,
            initargs=(_MEMORY_BYTES,),
            context=multiprocessing.get_context("spawn"),
        )

    async def load(self, ref: InlineMedia | UrlMedia) -> Media:
        """As `load_media`; of a video, `Media.video` is the caller's to close.

        Raises:
            MediaError: As `load_media`; or the decoder crashed on it, or took too long.
        """
        found = await asyncio.to_thread(fetch, ref, self._permissions, network=self._network)
        if sniff(found.data).kind == "video":
            inline = InlineMedia(data=found.data, name=found.source)
            return await asyncio.to_thread(load_media, inline, self._permissions, decoding=self._decoding)
        future = self._pool.schedule(decode_image, kwargs={"data": found.data, "source": found.source}, timeout=_WALL_S)
        try:
            media: Media = await asyncio.wrap_future(future)
        except TimeoutError as error:
            raise MediaError(f"{found.source!r}: decoding took longer than {_WALL_S:g} s") from error
        except ProcessExpired as error:
            raise MediaError(f"{found.source!r}: the decoder crashed on it") from error
        except MemoryError as error:
            raise MediaError(f"{found.source!r}: decoding takes more memory than is allowed") from error
        return media

    def close(self) -> None:
        self._pool.stop()  # type: ignore[no-untyped-call]
        self._pool.join()


def _limit(memory_bytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
