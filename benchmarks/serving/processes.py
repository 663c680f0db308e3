"""Memory and processor time of a process and everything under it. Source of the figures: Linux's /proc."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

_PAUSE_S = 0.5


@asynccontextmanager
async def watched(pid: int) -> AsyncIterator[list[float]]:
    """MiB every half second, the first at once; pages that processes share are counted in each."""
    found = [resident_mib(pid)]
    watching = asyncio.create_task(_watch(pid, found))
    try:
        yield found
    finally:
        watching.cancel()


def resident_mib(pid: int) -> float:
    pages = 0
    for each in _family(pid):
        with suppress(OSError):
            pages += int(Path(f"/proc/{each}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_s(pid: int) -> float:
    """Of those that live: unlike times of the clock it does not grow with what else the machine does."""
    ticks = 0
    for each in _family(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def _watch(pid: int, found: list[float]) -> None:
    while True:
        await asyncio.sleep(_PAUSE_S)
        found.append(resident_mib(pid))


def _family(pid: int) -> list[int]:
    family = [pid]
    for parent in family:  # grows while it is read
        with suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                family += [int(word) for word in (task / "children").read_text(encoding="ascii").split()]
    return family
