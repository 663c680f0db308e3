"""What holds for the whole test run: one thread for each process, and which tests may run beside each other."""

from __future__ import annotations

import os

import pytest

# The models are so small that threads only wait for each other, and on a busy machine OpenMP's wait by spinning.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # before torch and numpy are imported; subprocesses inherit it
os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")  # else every engine is bound to the same cores


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A file stays in one process, for its fixtures, and so does what is marked `xdist_group`.

    Groups with slow tests start first, so that no process is left alone with one at the end.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.location[0]))
    slow = {_group(item) for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: _group(item) not in slow)


def _group(item: pytest.Item) -> str:
    (name,) = {str(mark.args[0]) for mark in item.iter_markers("xdist_group")}
    return name
