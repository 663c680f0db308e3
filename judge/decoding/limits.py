"""What the operating system holds this process to, from the moment it begins to read a file."""

from __future__ import annotations

import math
import os
import re
import resource
from pathlib import Path


def limit_process(*, memory_bytes: int, cpu_s: float) -> None:
    """To be called when all libraries are loaded: what they took by then is not counted.

    From here on no file and no socket can be opened, whatever a file or a library asks for, and nothing can be written
    but to what is open. Memory is limited on Linux only, where /proc says what the libraries took.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    # At the hard limit it would be SIGKILL, which does not say why.
    _limit(resource.RLIMIT_CPU, math.ceil(used.ru_utime + used.ru_stime + cpu_s), spare=1)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    limit_memory(memory_bytes)
    _limit(resource.RLIMIT_NOFILE, first_free_descriptor())


def limit_memory(n_bytes: int) -> None:
    """How much more than now this process may take; on Linux only, as above."""
    if (taken := _data_bytes()) is not None:
        # RLIMIT_AS would count address space that is only set aside: 64 MiB for every thread that allocates.
        _limit(resource.RLIMIT_DATA, taken + n_bytes)


def first_free_descriptor() -> int:
    """The lowest one; with as many allowed, none can be opened."""
    descriptor = os.dup(0)
    os.close(descriptor)
    return descriptor


def _limit(resource_id: int, value: int, *, spare: int = 0) -> None:
    _, hard = resource.getrlimit(resource_id)
    soft, hard = (limit if hard == resource.RLIM_INFINITY else min(limit, hard) for limit in (value, value + spare))
    resource.setrlimit(resource_id, (soft, hard))


def _data_bytes() -> int | None:
    """Private writable memory of this process."""
    try:
        found = re.search(r"^VmData:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
